"""DICOM: a study is a case, and the descriptions of its series tell the modalities."""

import re
from collections import defaultdict
from pathlib import Path

from pipeline.data.dicom import Series, check_series, dicom_files, find_series, hidden
from pipeline.data.layouts.found import Found, Listing
from pipeline.errors import UserError

_OTHER = r"adc|dwi|dti|diff|perf|asl\b|bold|\bswi|t2 ?\*|t2.?star|\bloc|scout|survey|\bmap\b"
_T1 = r"t1|mp.?rage|spgr|bravo"
_OPERATION = r"[ -]?(op\b|operat|surg|treat|rt\b|rad|biops|resect)"
_BEFORE = (
    rf"pre(?!p|ss|sat|sc|sen|ci|vi|{_OPERATION})"
    r"|(\bw/?o(ut)?\b|without|\bnon)(?![ -]?(fs|fat|sat))"
    r"|\bno.?(?=(iv )?(contrast|gad|gd\b))|un-?enhanc|\bnativ\b|\b(sin|sans|senza|ohne)\b"
)
_AFTER = rf"post(?!er|{_OPERATION})"
_CONTRAST = rf"{_AFTER}|gad|(?<![a-z])gd\b|contrast|\+ ?c\b|\bc ?\+|t1.?ce?\b|\bce\b|\bkm\b|enhanc"
_WITH, _AND, _WITHOUT = "w(ith)?", "[ /]*([/&+]|and) *", "w(ith)?/?o(ut)?"
_EITHER = (
    rf"\b({_WITH}{_AND}{_WITHOUT}|{_WITHOUT}{_AND}{_WITH}/?|wwo)\b"
    r"( (iv )?(contrast|gad\w*|gd\b|enhanc\w*))?"
)
"""Of a study that has both; says nothing of one series."""
_DIFFERENCE = r"\bsub(\b(?!-)|tr)|\bminus\b"
_FLAIR = r"flair|t2f\b|dark.?fluid|\bfla\b"
_T2 = r"t2"
_KINDS = ("ct", "pt", "nm", "us")
"""Of scanners whose volumes are known by the kind alone; a name of the file, so not just any."""


def recognises(root: Path) -> bool:
    """Whether there is a DICOM file below ``root``."""
    return root.is_dir() and next(dicom_files(root), None) is not None


def find(root: Path) -> Listing:
    """A case a study, named by its pseudonym.

    Raises:
        UserError: SimpleITK is not installed.
    """
    studies: dict[str, list[Series]] = defaultdict(list)
    closed: list[OSError] = []
    for series in find_series(dicom_files(root, closed.append)):
        studies[series.case].append(series)
    notes = tuple(_note(series) for study in studies.values() for series in study)
    cases = [_case(name, study) for name, study in studies.items()]
    notes += tuple(f"case {_unlisted(error).name} is {error.filename}" for error in closed)
    cases += [_unlisted(error) for error in closed]
    return Listing(root, tuple(cases), described=True, notes=notes)


def told_modality(series: Series) -> str | None:
    """The canonical modality of a series: by its description, else protocol, else kind of scanner.

    A contrast agent in the header makes a T1 one with contrast, unless a text says before or
    without. A difference of images has no modality, though it has the protocol of one of them.
    """
    tags = series.tags
    said = [tags[name].lower().replace("_", " ") for name in ("description", "protocol")]
    texts = [re.sub(_EITHER, "", text) for text in said]
    if _is_difference(texts[0]):
        return None
    for text in texts:
        modality = _described(text, tags["agent"])
        if modality is not None:
            return modality
    kind = tags["kind"].lower()
    return kind if kind in _KINDS else None


def _is_difference(text: str) -> bool:
    both = all(re.search(pattern, text) for pattern in (_T1, _BEFORE, _AFTER))
    return both or re.search(_DIFFERENCE, text) is not None


def _described(text: str, agent: str) -> str | None:
    if re.search(_OTHER, text) or _is_difference(text):
        return None
    if re.search(_T1, text):
        before = re.search(_BEFORE, text) is not None
        return "t1c" if not before and (agent or re.search(_CONTRAST, text)) else "t1"
    if re.search(_FLAIR, text):
        return "flair"
    return "t2" if re.search(_T2, text) else None


def _case(name: str, study: list[Series]) -> Found:
    by_modality: dict[str, list[Series]] = defaultdict(list)
    for series in study:
        modality = told_modality(series)
        if modality is not None:
            by_modality[modality].append(series)
    files: dict[str, tuple[Path, int | None]] = {}
    problems: dict[str, str] = {}
    for modality, candidates in by_modality.items():
        files[modality] = (candidates[0].path, None)
        if len(candidates) > 1:
            numbers = " and ".join(series.tags["number"] for series in candidates)
            problems[modality] = (
                f"case {name} has several {modality} series ({numbers}): leave one, or name the "
                "folder of each series when you segment, --images modality=FOLDER"
            )
            continue
        try:
            check_series(candidates[0])
        except UserError as error:
            problems[modality] = str(error)
    return Found(name, files, problems, private=True, meant=True)


def _unlisted(error: OSError) -> Found:
    name = hidden(str(error.filename))
    problem = (
        f"cannot list the folder of case {name} ({error.strerror}): make it readable, or move it"
    )
    return Found(name, {}, {"": problem}, private=True)


def _note(series: Series) -> str:
    description = series.tags["description"] or "no description"
    return (
        f"{series.name} is {told_modality(series) or 'of no known modality'}: "
        f"{description!r}, {len(series.slices)} slices in {series.path.parent}"
    )
