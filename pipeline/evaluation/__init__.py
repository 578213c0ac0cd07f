"""Scores a case and a region, and their tables."""

from .cohort import evaluate as evaluate
from .cohort import recorded_task as recorded_task
from .scores import score_case as score_case
from .tables import Evaluation as Evaluation
