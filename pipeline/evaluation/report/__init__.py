"""A cohort's predictions as pages that open from disk, without server and without network."""

from .folder import check_free as check_free
from .sources import Sources as Sources
from .writing import write_report as write_report
