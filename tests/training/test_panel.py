"""The picture of a validated case."""

import numpy as np
import torch
from PIL import Image

from pipeline.training import panel as module


def test_a_2d_image_is_shown_with_its_rows_downwards_and_without_sides(tmp_path, monkeypatch):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    drawn = []

    def draw(image, label, _pred, spacing, picture, *_named):
        drawn.extend((image, label, spacing))
        Image.new("RGB", (2, 2)).save(picture, "png")

    monkeypatch.setattr(module, "three_planes", draw)
    mask = torch.from_numpy(pixels > 8)[None, ..., None].float()
    module.panel(
        {"source": str(tmp_path / "a.png"), "case": "a"}, {"pred": mask, "label": mask}, ["x"]
    )
    image, label, spacing = drawn
    seen = pixels[::-1, ::-1].T  # its first axis goes to the left, its second upwards
    np.testing.assert_array_equal(image[..., 0], seen)
    np.testing.assert_array_equal(label[..., 0], seen > 8)
    assert spacing is None
