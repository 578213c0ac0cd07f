"""What bad input gets: one sentence that names it and the remedy, and nothing half-written."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import TINY


@pytest.fixture
def case(cohort: Path, tmp_path: Path) -> Path:
    """A copy of one case, to be spoilt, in a folder with one that is whole."""
    root = tmp_path / "cases"
    for source in sorted(cohort.iterdir())[:2]:
        shutil.copytree(source, root / source.name)
    return min(root.iterdir())


def image(case: Path, ending: str) -> Path:
    return case / f"{case.name}-{ending}.nii.gz"


def rewrite(path: Path, array: np.ndarray | None = None, affine: np.ndarray | None = None) -> None:
    old = nib.load(path)
    array = np.asarray(old.dataobj) if array is None else array
    nib.save(nib.Nifti1Image(array, old.affine if affine is None else affine), path)


# Each spoils a case, and gives what its sentence says: what is wrong, where, and what to do.


def drop(case: Path) -> tuple[str, ...]:
    image(case, "t1c").unlink()
    return "has no t1c image", case.name, "add the file"


def shrink(case: Path) -> tuple[str, ...]:
    rewrite(image(case, "t2w"), np.asarray(nib.load(image(case, "t2w")).dataobj)[:-1])
    return "has shape", image(case, "t2w").name, "--align"


def shift(case: Path) -> tuple[str, ...]:
    affine = nib.load(image(case, "t2w")).affine
    affine[0, 3] += 5
    rewrite(image(case, "t2w"), affine=affine)
    return "differ in their affine", image(case, "t2w").name, "--align"


def scribble(case: Path) -> tuple[str, ...]:
    image(case, "t1n").write_text("not an image, but long enough to be taken for a header " * 20)
    return "is no NIfTI file", image(case, "t1n").name, "give a .nii"


def cut(case: Path) -> tuple[str, ...]:
    content = image(case, "t1n").read_bytes()
    image(case, "t1n").write_bytes(content[: len(content) // 2])
    return "is damaged", image(case, "t1n").name, "again"


def empty(case: Path) -> tuple[str, ...]:
    image(case, "t1n").write_bytes(b"")
    return "is empty", image(case, "t1n").name, "again"


@pytest.mark.parametrize("spoil", [drop, shrink, shift, scribble, cut, empty])
def test_one_bad_case_is_told_and_the_others_go_on(unet_bundles, run, case, tmp_path, spoil):
    parts = spoil(case)
    status, out, err = unet_bundles(
        "segment", run, "--images", case.parent, "--output", tmp_path / "out", "--json"
    )
    report = json.loads(out)
    assert status == 1
    assert list(report["failed"]) == [case.name]
    assert [part for part in parts if part not in report["failed"][case.name]] == []
    assert "Traceback" not in err
    assert len(report["written"]) == 1
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [f"{report['written'][0]}.nii.gz", "run.json"]


@pytest.mark.parametrize("spoil", [drop, shrink, cut])
def test_training_stops_before_it_starts_on_a_bad_case(unet_bundles, case, tmp_path, spoil):
    parts = spoil(case)
    arguments = ("train", "unet3d", "--data", case.parent, "--output", tmp_path / "run")
    status, _, err = unet_bundles(*arguments, "--set", *TINY)
    assert status == 2
    assert [part for part in parts if part not in err] == []
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "models").exists()


def test_an_unknown_label_value_is_named(unet_bundles, case, tmp_path):
    label = np.asarray(nib.load(image(case, "seg")).dataobj).copy()
    label[0, 0, 0] = 7
    rewrite(image(case, "seg"), label)
    arguments = ("train", "unet3d", "--data", case.parent, "--output", tmp_path / "run")
    status, _, err = unet_bundles(*arguments, "--set", *TINY)
    assert status == 2
    assert "label value 7" in err
    assert str(image(case, "seg")) in err


def nothing_starts(result: tuple[int, str, str], *parts: str) -> None:
    """The command told each of ``parts`` in one line and ended with status 2."""
    status, out, err = result
    assert status == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert [part for part in parts if part not in err] == []


def test_a_folder_without_cases(unet_bundles, run, tmp_path):
    (tmp_path / "none").mkdir()
    arguments = ("--images", tmp_path / "none", "--output", tmp_path / "out")
    nothing_starts(unet_bundles("segment", run, *arguments), "no case under", str(tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_does_not_exist(unet_bundles, cohort, tmp_path):
    result = unet_bundles("train", "unet3", "--data", cohort, "--output", tmp_path / "run")
    nothing_starts(result, "no bundle 'unet3'", "did you mean unet3d?")


def test_a_bundle_by_the_name_of_its_network(unet_bundles, cohort, tmp_path):
    result = unet_bundles("train", "UNetPlusPlus", "--data", cohort, "--output", tmp_path / "run")
    nothing_starts(result, "no bundle 'UNetPlusPlus'", "did you mean unetplusplus?")


def test_a_folder_that_is_no_bundle(unet_bundles, cohort, tmp_path):
    result = unet_bundles("segment", cohort, "--images", cohort, "--output", tmp_path / "out")
    nothing_starts(result, f"the folder {cohort} is no bundle", "give the folder of a run")


@pytest.mark.parametrize("given", [["--images", "DIR"], ["unet3d", "--images", "DIR", "--weights"]])
def test_nothing_where_a_bundle_or_a_file_belongs(unet_bundles, tmp_path, given):
    nothing_starts(unet_bundles("segment", *given, "--output", tmp_path / "out"), "name a bundle")


def test_a_bundle_without_weights(unet_bundles, cohort, tmp_path):
    result = unet_bundles("segment", "unet3d", "--images", cohort, "--output", tmp_path / "out")
    nothing_starts(result, "no weights", "unet-bundles train unet3d --data DIR")


def test_weights_of_another_network(unet_bundles, run, cohort, tmp_path):
    weights = tmp_path / "other.safetensors"
    save_file({"head.weight": torch.zeros(1)}, weights)
    arguments = ("--images", cohort, "--output", tmp_path / "out", "--weights", weights)
    nothing_starts(unet_bundles("segment", run, *arguments), str(weights), "another network")


def test_weights_that_are_no_safetensors(unet_bundles, run, cohort, tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"\x80\x04pickle")
    arguments = ("--images", cohort, "--output", tmp_path / "out", "--weights", weights)
    nothing_starts(unet_bundles("segment", run, *arguments), "is no safetensors file")


def test_an_output_that_cannot_be_written(unet_bundles, run, cohort, tmp_path):
    (tmp_path / "file").write_text("")
    arguments = ("--images", cohort, "--output", tmp_path / "file" / "out")
    nothing_starts(unet_bundles("segment", run, *arguments), "cannot write", "another output")


def test_a_patch_that_the_network_cannot_take(unet_bundles, cohort, tmp_path):
    arguments = ("train", "unet3d", "--data", cohort, "--output", tmp_path / "run")
    result = unet_bundles(*arguments, "--set", *TINY, "patch_size=[30,32,32]")
    nothing_starts(result, "patch_size [30, 32, 32]", "multiple of 4")


def test_windows_that_the_network_cannot_take(unet_bundles, cohort, run, tmp_path):
    arguments = ("train", "unet3d", "--data", cohort, "--output", tmp_path / "run")
    result = unet_bundles(*arguments, "--set", *TINY, "inferer::patch_size=[30,32,32]")
    nothing_starts(result, "inferer::patch_size [30, 32, 32]", "multiple of 4")
    copied = shutil.copytree(run, tmp_path / "copied")
    config = copied / "configs" / "inference.yaml"
    text = config.read_text()
    assert text.count("patch_size: '@patch_size'") == 1
    config.write_text(text.replace("patch_size: '@patch_size'", "patch_size: [30, 32, 32]"))
    result = unet_bundles("segment", copied, "--images", cohort, "--output", tmp_path / "out")
    nothing_starts(result, f"{config} has the patch_size [30, 32, 32]", "multiple of 4")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("schedule_metric=dice", "schedule_metric is 'dice': did you mean mean_dice?"),
        (
            "lr_schedule={_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, "
            "optimizer: '@optimizer'}",
            "lr_schedule waits for a low score: set lr_schedule::mode=max",
        ),
    ],
)
def test_a_schedule_that_cannot_see_its_score(unet_bundles, cohort, tmp_path, setting, told):
    arguments = ("train", "unet3d", "--data", cohort, "--output", tmp_path / "run")
    nothing_starts(unet_bundles(*arguments, "--set", *TINY, setting), told)


@pytest.mark.parametrize("patch_size", ["64", "null", "abc", "[16, 16, b]", "[32, 32]"])
def test_a_patch_that_is_not_one_number_an_axis(unet_bundles, cohort, tmp_path, patch_size):
    arguments = ("train", "unet3d", "--data", cohort, "--output", tmp_path / "run")
    result = unet_bundles(*arguments, "--set", *TINY, f"patch_size={patch_size}")
    nothing_starts(result, "patch_size", "give 3 whole numbers, one an axis")


def test_a_patch_is_refused_before_cases_are_read(unet_bundles, case, tmp_path):
    cut(case)
    arguments = ("train", "unet3d", "--data", case.parent, "--output", tmp_path / "run")
    result = unet_bundles(*arguments, "--set", *TINY, "patch_size=[30,32,32]")
    nothing_starts(result, "patch_size [30, 32, 32]")


def test_a_split_without_validation(unet_bundles, cohort, tmp_path):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [min(cohort.iterdir()).name], "validation": []}))
    arguments = ("--data", cohort, "--output", tmp_path / "run", "--split", split)
    result = unet_bundles("train", "unet3d", *arguments, "--set", *TINY)
    nothing_starts(result, str(split), "no case under validation")
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_trained_over(unet_bundles, run, cohort):
    arguments = ("train", "unet3d", "--data", cohort, "--output", run)
    nothing_starts(unet_bundles(*arguments, "--set", *TINY), "holds a run already")


def test_a_device_that_is_not_there(unet_bundles, run, cohort, tmp_path):
    arguments = ("--images", cohort, "--output", tmp_path / "out", "--device", "quantum")
    nothing_starts(unet_bundles("segment", run, *arguments), "no device quantum")


def test_a_cohort_of_unknown_convention(unet_bundles, cohort, tmp_path):
    endings = {"t2f": "flair", "t1n": "t1", "t1c": "t1c", "t2w": "t2", "seg": "seg"}
    for case in cohort.iterdir():
        (tmp_path / "cases" / case.name).mkdir(parents=True)
        for ending, plain in endings.items():
            shutil.copy(image(case, ending), tmp_path / "cases" / case.name / f"{plain}.nii.gz")
    arguments = ("train", "unet3d", "--data", tmp_path / "cases", "--output", tmp_path / "run")
    nothing_starts(unet_bundles(*arguments, "--set", *TINY), "unknown convention", "brats2023")


def test_a_bad_case_found_by_a_loading_process_is_one_sentence(unet_bundles, case, tmp_path):
    parts = cut(case)
    arguments = ("train", "unet3d", "--data", case.parent, "--output", tmp_path / "run")
    settings = (*TINY, "num_workers=1", "cache_num=0", "validation_fraction=0.5")
    nothing_starts(unet_bundles(*arguments, "--set", *settings), *parts, str(case))


def test_predictions_of_two_conventions_are_not_mixed(unet_bundles, run, cohort, tmp_path):
    arguments = ("segment", run, "--images", min(cohort.iterdir()), "--output", tmp_path)
    assert unet_bundles(*arguments, "--labels", "brats2023")[0] == 0
    nothing_starts(unet_bundles(*arguments, "--labels", "brats2018"), "another", str(tmp_path))


def test_a_training_into_an_unwritable_folder(unet_bundles, cohort, tmp_path):
    (tmp_path / "file").write_text("")
    arguments = ("train", "unet3d", "--data", cohort, "--output", tmp_path / "file" / "run")
    nothing_starts(unet_bundles(*arguments, "--set", *TINY), "cannot write", "another output")


def test_a_disk_that_takes_no_file_is_told_before_cases_are_read(
    unet_bundles, case, tmp_path, monkeypatch
):
    cut(case)
    monkeypatch.setattr("os.access", lambda *_: False)
    arguments = ("train", "unet3d", "--data", case.parent, "--output", tmp_path / "run")
    result = unet_bundles(*arguments, "--set", *TINY)
    nothing_starts(result, f"cannot write {tmp_path / 'run'} (Permission denied)")


def test_a_file_that_is_closed_is_named(unet_bundles, run, cohort, tmp_path, monkeypatch):
    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", closed)
    result = unet_bundles("segment", run, "--images", cohort, "--output", tmp_path / "out")
    nothing_starts(result, f"{cohort} is closed to this user: open it, or choose another")
