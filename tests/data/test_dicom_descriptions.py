"""What the text of a DICOM header says of the modality."""

import pytest

from pipeline.data.dicom import find_series
from pipeline.data.layouts.dicom import told_modality
from tests.data.dicom_files import FakeSeries


@pytest.mark.parametrize(
    ("description", "agent", "modality"),
    [
        ("AX T2 FLAIR", "", "flair"),
        ("tirm_tra_dark-fluid", "", "flair"),
        ("T1pre_reg", "10ml multihance", "t1"),
        ("AX T1 W/O CONTRAST", "", "t1"),
        ("AX T1 NO CONTRAST", "", "t1"),
        ("T1 no gad", "", "t1"),
        ("T1 unenhanced", "", "t1"),
        ("AX-T1-PRE-FS", "Gadavist", "t1"),
        ("T1 PRE-CE", "", "t1"),
        ("T1 POST GAD W/O FATSAT", "", "t1c"),
        ("T1 PRESAT +C", "", "t1c"),
        ("T1 NON FS +C", "", "t1c"),
        ("T1 PRE POST-OP", "", "t1"),
        ("AX T1 POSTOP", "", "t1"),
        ("AXT1PREFS", "Gadavist", "t1"),
        ("T1 W/OUT CONTRAST", "", "t1"),
        ("T1 sin contraste", "", "t1"),
        ("T1 W/WO CONTRAST", "Gadavist", "t1c"),
        ("T1 W WO CONTRAST", "", "t1"),
        ("T1 WITH AND WITHOUT CONTRAST", "Gadavist", "t1c"),
        ("T1 WITH AND WITHOUT CONTRAST", "", "t1"),
        ("T1 W/ & W/O CONTRAST POST", "", "t1c"),
        ("T1 WO/W IV CONTRAST", "Gadavist", "t1c"),
        ("T1 W/WO GAD", "", "t1"),
        ("AX T1 WITH AND WITHOUT GADOLINIUM", "", "t1"),
        ("T1 W / WO IV GD", "Gadavist", "t1c"),
        ("T1 WWO ENHANCEMENT", "", "t1"),
        ("T1-W WITHOUT CONTRAST", "Gadavist", "t1"),
        ("T1 W CONTRAST", "", "t1c"),
        ("T1 WITH CONTRAST", "", "t1c"),
        ("T1c native space", "", "t1c"),
        ("t1 mpr KM", "", "t1c"),
        ("sub-01_T1w", "", "t1"),
        ("T1 POST PRE-OP", "", "t1c"),
        ("T1post", "", "t1c"),
        ("SAG MPRAGE +C", "", "t1c"),
        ("t1_mprage", "Gadavist", "t1c"),
        ("T1Gd", "", "t1c"),
        ("AX T1 FLAIR", "", "t1"),
        ("t2_tse_tra", "", "t2"),
        ("T2* GRE", "", None),
        ("ep2d_diff_ADC", "", None),
        ("HippoCrop", "", None),
    ],
)
def test_descriptions_tell_the_modality(tmp_path, description, agent, modality):
    FakeSeries(description=description, tags={"0018|0010": agent} if agent else {}).write(tmp_path)
    (series,) = find_series(sorted(tmp_path.iterdir()))
    assert told_modality(series) == modality


@pytest.mark.parametrize("description", ["T1 POST MINUS PRE", "T1 PRE POST", "Subtraction T1"])
def test_a_difference_is_no_modality_whatever_its_protocol(tmp_path, description):
    FakeSeries(description=description, tags={"0018|1030": "Ax T1 +C"}).write(tmp_path)
    (series,) = find_series(sorted(tmp_path.iterdir()))
    assert told_modality(series) is None
