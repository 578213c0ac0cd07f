"""Segment cases with nnU-Net v2's predictor and the network of a bundle.

The plan is the one that nnU-Net makes for BraTS: cropped to what is not zero, z-scores inside it,
1 mm, Gaussian windows at steps of a half; no mirroring. Its axes are turned to those of the file,
so that the network sees what the other peers show it.
"""

from typing import Any

from network import Stopwatch, arguments, cases_of, config_of, head_of, network_of
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import nn

PAINTED = {"WT": 2, "TC": 1, "ET": 4}
"""Regions in the order in which they are painted, and their values in a BraTS 2018 file."""


def main() -> None:
    """Segment every case in turn."""
    given = arguments(__doc__.splitlines()[0]).parse_args()
    task = config_of(given.bundle)["task"]
    network = network_of(given.bundle)
    if "regions" in task:
        order = [task["regions"].index(region) for region in PAINTED]
        network = reordered(network, order)
    stopwatch = Stopwatch(network)
    predictor = nnUNetPredictor(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=False,
        device=given.device,
        allow_tqdm=False,
    )
    plans = PlansManager(plans_of(task, given.window))
    predictor.manual_initialization(
        network,
        plans,
        plans.get_configuration("3d_fullres"),
        [network.state_dict()],
        dataset_of(task),
        "nnUNetTrainer",
        None,
    )
    cases = cases_of(given.cases, task)
    predictor.predict_from_files_sequential(
        list(cases.values()), [str(given.output / name) for name in cases]
    )
    stopwatch.write(given.output)


def reordered(network: nn.Module, order: list[int]) -> nn.Module:
    """``network`` with its output channels in another order, at no cost."""
    head = head_of(network)
    head.weight.data, head.bias.data = head.weight.data[order], head.bias.data[order]
    return network


def dataset_of(task: dict[str, Any]) -> dict[str, Any]:
    """What nnU-Net's dataset.json says of such a task."""
    channels = {str(i): name for i, name in enumerate(task["modalities"])}
    dataset: dict[str, Any] = {"channel_names": channels, "file_ending": ".nii.gz"}
    if "regions" in task:
        return dataset | {
            "labels": {"background": 0, "WT": [1, 2, 3], "TC": [2, 3], "ET": [3]},
            "regions_class_order": list(PAINTED.values()),
        }
    return dataset | {"labels": {name: i for i, name in enumerate(task["classes"])}}


def plans_of(task: dict[str, Any], window: list[int]) -> dict[str, Any]:
    """nnU-Net's plans for volumes of 1 mm."""
    channels = len(task["modalities"])
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    resampled = {
        f"resampling_fn_{what}{end}": value
        for what in ("data", "seg", "probabilities")
        for end, value in (("", "resample_data_or_seg_to_shape"), ("_kwargs", resampling))
    }
    configuration = {
        "architecture": {},
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": window,
        "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"] * channels,
        "use_mask_for_norm": [True] * channels,
    }
    return {
        "dataset_name": "Dataset001_Benchmark",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [2, 1, 0],
        "transpose_backward": [2, 1, 0],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(i): {} for i in range(channels)},
        "configurations": {"3d_fullres": configuration | resampled},
    }


if __name__ == "__main__":
    main()
