import pytest

from pipeline.errors import UserError
from pipeline.tasks import CONVENTIONS, PAINT_ORDER, REGIONS, Task

GLIOMA = Task(("flair", "t1", "t1c", "t2"), regions=("TC", "WT", "ET"))
LIVER = Task(("ct",), classes=("background", "liver", "tumour"))


def test_channels_follow_from_the_task():
    assert (GLIOMA.in_channels, GLIOMA.out_channels) == (4, 3)
    assert (LIVER.in_channels, LIVER.out_channels) == (1, 3)


def test_background_is_an_output_of_exclusive_classes_but_is_not_scored():
    assert LIVER.targets == ("liver", "tumour")
    assert GLIOMA.targets == ("TC", "WT", "ET")


def test_the_task_key_of_a_bundle_becomes_a_task():
    config = {"modalities": ["flair", "t1", "t1c", "t2"], "regions": ["TC", "WT", "ET"]}
    assert Task.of(config) == GLIOMA
    assert Task.of(GLIOMA) is GLIOMA


def test_a_null_entry_of_the_task_key_is_an_empty_one():
    config = {"modalities": ["ct"], "regions": None, "classes": ["background", "liver", "tumour"]}
    assert Task.of(config) == LIVER


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"modalities": ["ct"], "region": ["WT"]}, "no entry 'region': did you mean regions?"),
        ({"regions": ["WT"]}, "names no modalities"),
        ({"modalities": ["ct"]}, "needs either regions"),
        ({"modalities": ["ct"], "regions": ["WT"], "classes": ["a", "b"]}, "needs either regions"),
        ({"modalities": ["ct"], "regions": ["TCC"]}, "unknown region 'TCC': did you mean TC?"),
        ({"modalities": ["ct"], "classes": ["liver"]}, "at least two classes"),
        ({"modalities": ["t1", "t1"], "regions": ["WT"]}, "names t1 twice in modalities"),
        ({"modalities": ["ct"], "regions": ["WT", "WT"]}, "names WT twice in regions"),
        ({"modalities": ["ct"], "classes": [0, 1]}, "takes names as classes, not 0: write"),
    ],
)
def test_a_mistaken_task_key_ends_in_a_sentence(config, sentence):
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        Task.of(config)


@pytest.mark.parametrize(
    ("convention", "values"),
    [
        ("brats2018", {"TC": {1, 4}, "WT": {1, 2, 4}, "ET": {4}}),
        ("brats2023", {"TC": {1, 3}, "WT": {1, 2, 3}, "ET": {3}}),
        ("msd_brats", {"TC": {2, 3}, "WT": {1, 2, 3}, "ET": {3}}),
    ],
)
def test_each_region_is_a_union_of_label_values(convention, values):
    found = GLIOMA.target_values(convention)
    assert {name: set(numbers) for name, numbers in found.items()} == values


def test_regions_nest_in_every_convention():
    for convention in CONVENTIONS:
        values = {name: set(v) for name, v in GLIOMA.target_values(convention).items()}
        assert values["ET"] < values["TC"] < values["WT"]


def test_painting_from_the_widest_region_to_the_narrowest_names_each_tissue_once():
    widths = [len(REGIONS[region]) for region, _ in PAINT_ORDER]
    assert widths == sorted(widths, reverse=True)
    assert sorted(tissue for _, tissue in PAINT_ORDER) == sorted(REGIONS["WT"])


def test_a_class_is_its_place_in_the_list():
    assert LIVER.values("classes") == {"background": 0, "liver": 1, "tumour": 2}
    assert LIVER.target_values("classes") == {"liver": (1,), "tumour": (2,)}


@pytest.mark.parametrize(("task", "convention"), [(GLIOMA, "classes"), (LIVER, "brats2018")])
def test_a_convention_of_another_kind_of_task_is_refused(task, convention):
    with pytest.raises(UserError, match=f"'{convention}' does not fit this task"):
        task.values(convention)


def test_a_mistyped_convention_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"did you mean brats2018\?"):
        GLIOMA.values("brats_2018")


def test_more_classes_than_a_byte_tells_apart_are_refused():
    classes = [f"class {number}" for number in range(257)]
    assert Task.of({"modalities": ["t1"], "classes": classes[:256]}).out_channels == 256
    with pytest.raises(UserError, match="257 classes, and 256 are the most"):
        Task.of({"modalities": ["t1"], "classes": classes})
