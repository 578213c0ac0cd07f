import numpy as np
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from pipeline.evaluation import Evaluation
from pipeline.evaluation.listener import ScoreCases

TASK = {"modalities": ["flair"], "regions": ["TC", "WT", "ET"]}
SPACING = torch.diag(torch.tensor([1.0, 1.0, 3.0, 1.0]))


def test_what_an_evaluator_predicts_is_scored_in_millimetres(tmp_path):
    label = torch.zeros(3, 12, 12, 12)
    label[:, 2:6, 2:6, 2:6] = 1
    pred = torch.roll(label, 1, dims=3)
    evaluator = Engine(lambda _engine, _batch: [{"pred": pred, "label": label}])
    ScoreCases(evaluator, TASK, str(tmp_path))
    evaluator.run([[{"case": "ann", "label": MetaTensor(label, affine=SPACING)}]])
    evaluation = Evaluation.read(tmp_path / "scores.json")
    assert [(row.case, row.region) for row in evaluation.rows] == [
        ("ann", region) for region in ("TC", "WT", "ET")
    ]
    row = evaluation.rows[0]
    assert (row.dice, row.hd_mm) == (0.75, 3.0)
    np.testing.assert_allclose(row.volume_ml, 64 * 3 / 1000)
