"""Planes in a file are those that were written."""

import pickle
from contextlib import closing

import numpy as np
import pytest

from pipeline.inference.planes import Planes


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_planes_are_read_as_they_were_written_in_any_order(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 255, (7, 2, 3, 4)).astype(dtype)
    with closing(Planes(tmp_path / "planes", values.shape, dtype)) as planes:
        planes.write(4, values[4:])
        planes.write(0, values[:4])
        np.testing.assert_array_equal(planes.read(0, 7), values)
        np.testing.assert_array_equal(planes.read(3, 5), values[3:5])
        assert planes.read(2, 2).shape == (0, 2, 3, 4)


def test_planes_that_were_not_written_are_zero(tmp_path):
    with closing(Planes(tmp_path / "planes", (5, 3, 2))) as planes:
        planes.write(1, np.ones((2, 3, 2)))
        assert planes.read(0, 5).sum(axis=(1, 2)).tolist() == [0, 6, 6, 0, 0]


def test_another_process_finds_the_same_planes(tmp_path):
    with closing(Planes(tmp_path / "planes", (5, 3, 2))) as planes:
        planes.write(1, np.ones((2, 3, 2)))
        with closing(pickle.loads(pickle.dumps(planes))) as again:
            np.testing.assert_array_equal(again.read(0, 5), planes.read(0, 5))


def test_planes_beyond_the_last_are_refused(tmp_path):
    with (
        closing(Planes(tmp_path / "planes", (5, 3, 2))) as planes,
        pytest.raises(EOFError, match="plane 5"),
    ):
        planes.read(4, 6)
