import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import Dataset

from pipeline.data.loaders import (
    TrainingSet,
    labelled,
    ordered,
    records,
    shuffled,
    training_split,
    unlabelled,
)
from pipeline.data.splits import Split
from pipeline.errors import UserError
from pipeline.transforms import augmentation, patches, preprocessing

TASK = {"modalities": ["flair", "t1"], "regions": ["WT", "ET"]}
SHAPE = (9, 8, 7)
RECIPE = {"foreground_margin": None}


@pytest.fixture
def root(tmp_path):
    """Three cases named as in BraTS 2023, of noise with a tumour in the middle."""
    for number in range(3):
        rng = np.random.default_rng(number)
        label = np.zeros(SHAPE, np.uint8)
        label[3:6, 3:6, 3:6] = 2
        label[4, 4, 4] = 3
        arrays = {"t2f": rng.normal(100, 10, SHAPE), "t1n": rng.normal(50, 5, SHAPE), "seg": label}
        name = f"case{number}"
        (tmp_path / name).mkdir()
        for ending, array in arrays.items():
            image = nib.Nifti1Image(array.astype(np.int16), np.eye(4))
            nib.save(image, tmp_path / name / f"{name}-{ending}.nii")
    return tmp_path


def training_set(root, seed=0, cache_num=3):
    return TrainingSet(
        records(labelled(str(root), TASK)),
        preprocessing(RECIPE, TASK, keys=("image", "label")),
        patches((4, 4, 4), per_case=2),
        augmentation(),
        seed,
        cache_num,
    )


def equal(first, second):
    return len(first) == len(second) and all(
        torch.equal(a[key], b[key])
        for a, b in zip(first, second, strict=True)
        for key in ("image", "label")
    )


def test_a_record_says_what_the_transforms_need(root):
    first = records(labelled(str(root), TASK))[0]
    folder = root / "case0"
    flair, t1 = str(folder / "case0-t2f.nii"), str(folder / "case0-t1n.nii")
    assert first == {
        "case": "case0",
        "image": [(flair, None), (t1, None)],
        "source": flair,
        "label": str(folder / "case0-seg.nii"),
        "convention": "brats2023",
    }


def test_records_can_be_those_of_one_side_of_a_split(root):
    cohort = labelled(str(root), TASK)
    chosen = records(cohort, names=("case2", "case0"))
    assert [record["case"] for record in chosen] == ["case0", "case2"]


def test_an_item_depends_on_seed_epoch_visit_and_index_alone(root):
    first, second = training_set(root), training_set(root)
    keys = [(epoch, 0, index) for epoch in (0, 1) for index in (0, 1, 2)]
    forward = {key: first[key] for key in keys}
    backward = {key: second[key] for key in reversed(keys)}
    assert all(equal(forward[key], backward[key]) for key in keys)


@pytest.mark.parametrize("other", [(0, 0, 1), (0, 1, 0), (1, 0, 0)])
def test_another_epoch_visit_or_index_gives_another_sample(root, other):
    dataset = training_set(root)
    assert not equal(dataset[0, 0, 0], dataset[other])


def test_another_seed_gives_another_sample(root):
    assert not equal(training_set(root, seed=0)[0, 0, 0], training_set(root, seed=1)[0, 0, 0])


def test_the_cache_changes_nothing(root):
    cached, read = training_set(root, cache_num=3), training_set(root, cache_num=0)
    for index in range(3):
        assert equal(cached[0, 0, index], read[0, 0, index])
        assert equal(
            cached[0, 0, index], read[0, 0, index]
        )  # augmenting left the cached case alone


def test_an_item_is_as_many_patches_as_asked_for(root):
    samples = training_set(root)[0, 0, 0]
    assert [sample["image"].shape for sample in samples] == [(2, 4, 4, 4)] * 2
    assert [sample["label"].shape for sample in samples] == [(2, 4, 4, 4)] * 2
    assert all(set(sample) == {"image", "label"} for sample in samples)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with one core
def test_the_number_of_workers_changes_nothing(root):
    epochs = []
    for num_workers in (0, 1, 2):
        loader = shuffled(training_set(root), batch_size=2, num_workers=num_workers)
        epochs.append([batch for _ in range(2) for batch in loader])
    alone, *others = epochs
    assert [len(batch["image"]) for batch in alone] == [4, 2, 4, 2]  # two patches a case
    for other in others:
        assert equal(alone, other)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with one core
@pytest.mark.parametrize("num_workers", [0, 2])
def test_validation_sees_each_case_once_in_order(root, num_workers):
    data = records(labelled(str(root), TASK))
    loader = ordered(Dataset(data, preprocessing(RECIPE, TASK)), num_workers)
    assert [batch["case"] for batch in loader] == [["case0"], ["case1"], ["case2"]]


def test_a_batch_of_one_keeps_an_image_and_a_label_of_different_shapes(root):
    data = records(labelled(str(root), TASK))[:1]
    coarse = preprocessing(RECIPE | {"spacing": (2, 2, 2)}, TASK)
    (batch,) = ordered(Dataset(data, coarse), 0)
    assert batch["image"].shape == (1, 2, 5, 4, 4)
    assert batch["label"].shape == (1, 2, *SHAPE)
    assert batch["source"] == [data[0]["source"]]


def test_a_batch_without_label_is_a_batch(root):
    data = records(unlabelled(str(root), TASK))[:1]
    (batch,) = ordered(Dataset(data, preprocessing(RECIPE, TASK)), 0)
    assert batch["image"].shape == (1, 2, *SHAPE)
    assert "label" not in batch


def test_training_refuses_a_cohort_with_an_incomplete_case(root):
    (root / "case1" / "case1-t1n.nii").unlink()
    for cohort in (labelled, unlabelled):
        with pytest.raises(UserError, match=r"case case1 .* has no t1 image"):
            cohort(str(root), TASK)


def test_training_needs_a_label(root):
    for path in root.rglob("*-seg.nii"):
        path.unlink()
    with pytest.raises(UserError, match=r"no case under .* has a label"):
        labelled(str(root), TASK)


def test_training_asks_for_a_convention_that_the_layout_does_not_tell(root):
    for path in root.rglob("*.nii"):
        path.rename(path.with_name(path.name.replace("-t2f", "-FLAIR").replace("-t1n", "-T1")))
    with pytest.raises(UserError, match="set labels to one of brats2023, msd_brats"):
        labelled(str(root), TASK)
    assert labelled(str(root), TASK, "brats2018").convention == "brats2018"


def test_a_convention_that_is_given_beats_that_of_the_layout(root):
    assert labelled(str(root), TASK, "msd_brats").convention == "msd_brats"
    with pytest.raises(UserError, match="'classes' does not fit this task"):
        labelled(str(root), TASK, "classes")


def test_inference_forgets_labels_and_says_what_is_to_be_written(root):
    cohort = unlabelled(str(root), TASK)
    assert not cohort.labelled
    assert cohort.convention == "brats2023"
    assert unlabelled(str(root), TASK, "brats2018").convention == "brats2018"


def test_inference_needs_no_label_that_a_list_names(root):
    row = {"case": "a", "flair": "case0/case0-t2f.nii", "t1": "case0/case0-t1n.nii", "label": "no"}
    (root / "cases.json").write_text(json.dumps([row]))
    assert [case.name for case in unlabelled(str(root), TASK).cases] == ["a"]
    with pytest.raises(UserError, match="correct label"):
        labelled(str(root), TASK)


def test_a_split_comes_from_the_file_then_the_run_then_the_seed(root, tmp_path_factory):
    cohort = labelled(str(root), TASK)
    run = tmp_path_factory.mktemp("run")
    drawn = training_split(cohort, None, str(run), 0.34, seed=0)
    assert drawn == Split.drawn(["case0", "case1", "case2"], 0.34, seed=0)

    own = Split(("case0",), ("case2",))
    own.write(run / "split.json")
    assert training_split(cohort, None, str(run), 0.34, seed=0) == own

    file = run / "mine.json"
    file.write_text(json.dumps({"train": ["case2"], "validation": ["case1"]}))
    assert training_split(cohort, str(file), str(run), 0.34, seed=0).train == ("case2",)


def test_all_sessions_of_a_subject_are_in_one_part(root):
    cohort = labelled(str(root), TASK)
    sessions = [
        replace(cohort.cases[0], name=f"sub-{number}_ses-{time}", subject=f"sub-{number}")
        for number in range(10)
        for time in range(2)
    ]
    split = training_split(replace(cohort, cases=tuple(sessions)), None, str(root), 0.2, seed=0)
    subjects = [
        {name.partition("_")[0] for name in part} for part in (split.train, split.validation)
    ]
    assert (len(split.train), len(split.validation)) == (16, 4)
    assert subjects[0].isdisjoint(subjects[1])


@pytest.fixture
def start(tmp_path):
    """The folder of a run, whose split is to be written."""
    (tmp_path / "start/configs").mkdir(parents=True)
    (tmp_path / "start/configs/train.yaml").touch()
    return tmp_path / "start"


@pytest.mark.parametrize("place", ["models/a.safetensors", "checkpoints/01/network.safetensors"])
def test_what_trained_the_weights_of_the_start_does_not_validate(root, start, place):
    cohort = labelled(str(root), TASK)
    for before in (Split(("case0", "gone"), ("x",)), Split(("case0", "case1"), ("case2",))):
        before.write(start / "split.json")
        for seed in range(5):
            split = training_split(cohort, None, str(root), 0.34, seed, str(start / place))
            assert {*before.train} & {*split.validation} == set()
            assert len(split.validation) == 1
            assert sorted(split.train + split.validation) == ["case0", "case1", "case2"]


def test_what_only_validated_the_weights_of_the_start_is_drawn_from(root, start):
    Split(("other",), ("case0", "case1", "case2")).write(start / "split.json")
    weights = str(start / "models/model.safetensors")
    split = training_split(labelled(str(root), TASK), None, str(root), 0.34, 0, weights)
    assert split == Split.drawn(["case0", "case1", "case2"], 0.34, 0)


def test_weights_that_every_case_trained_are_told(root, start, capsys):
    Split(("case0", "case1", "case2"), ("x",)).write(start / "split.json")
    weights = str(start / "models/model.safetensors")
    split = training_split(labelled(str(root), TASK), None, str(root), 0.34, 0, weights)
    assert len(split.validation) == 1
    assert "1 cases that validate trained" in " ".join(capsys.readouterr().err.split())


def test_a_given_split_that_validates_on_what_trained_the_weights_is_told(
    root, start, tmp_path, capsys
):
    Split(("case0", "case1"), ("case2",)).write(start / "split.json")
    (tmp_path / "mine.json").write_text(json.dumps({"train": ["case2"], "validation": ["case1"]}))
    weights = str(start / "models/model.safetensors")
    cohort = labelled(str(root), TASK)
    training_split(cohort, str(tmp_path / "mine.json"), str(root), 0.34, 0, weights)
    told = " ".join(capsys.readouterr().err.split())
    assert "1 cases that validate trained" in told
    assert "such as case1: their scores flatter" in told


def test_cases_that_the_split_of_a_run_leaves_out_are_told(root, tmp_path, capsys):
    Split(("case0",), ("case2",)).write(tmp_path / "split.json")
    training_split(labelled(str(root), TASK), None, str(tmp_path), 0.34, seed=0)
    told = " ".join(capsys.readouterr().err.split())
    assert "1 labelled cases are in neither part of" in told
    assert "such as case1: give another --split" in told
