"""A bundle called from Python."""

import nibabel as nib
import numpy as np

from pipeline.bundles import Bundle
from pipeline.data.cohorts import find_cohort
from pipeline.inference import Segmenter


def test_a_bundle_gives_the_labels_that_the_command_writes(unet_bundles, run, cohort, tmp_path):
    unet_bundles("segment", run, "--images", cohort, "--output", tmp_path)
    segmenter = Segmenter(Bundle(run))
    for case in find_cohort(cohort, segmenter.task).cases:
        written = np.asarray(nib.load(tmp_path / f"{case.name}.nii.gz").dataobj)
        np.testing.assert_array_equal(segmenter(case, "brats2023").numpy(), written)
