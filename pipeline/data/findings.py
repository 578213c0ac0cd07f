"""What a check can find: a closed list of codes, each with its severity and its meaning."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.errors import UserError


class Severity(StrEnum):
    """What becomes of a case."""

    REFUSED = "refused"
    """It would give a wrong answer, or none."""
    WARNED = "warned"
    """It is used, and a person should look at it."""


_REFUSED = {
    "unreadable": "The file cannot be opened: missing, no permission, a folder, a socket, a loop "
    "of links, or one half of a .hdr/.img pair.",
    "empty-file": "The file has no bytes.",
    "damaged-gzip": "The gzip stream is cut, does not match its checksum or length, or is "
    "followed by something else.",
    "nested-gzip": "The file was compressed twice.",
    "not-nifti": "The file is of another kind: its header has neither the size nor the magic of "
    "NIfTI-1 or NIfTI-2.",
    "unreadable-image": "The voxels of a 2D image or a DICOM series cannot be read.",
    "dimensions": "The header names a number of axes outside 2 to 7, or an axis without voxels.",
    "data-type": "The voxels are no grey values (colours, complex numbers, an unknown type), or "
    "the header contradicts itself on their size.",
    "data-offset": "The voxels would start within the header, or at no whole byte.",
    "scaling": "The slope or intercept of the voxel values is infinite, or the intercept is NaN.",
    "too-large": "The voxels would not fit into a quarter of the memory.",
    "truncated": "The file holds fewer bytes than its header says.",
    "surplus-bytes": "The file holds more bytes than its header says, so one of them is wrong.",
    "affine": "The affine is not finite and invertible, or its code is none of NIfTI.",
    "spacing": "A voxel is smaller than 0.001 mm, or the image longer than 10 m.",
    "not-finite": "Voxels are NaN or infinite.",
    "channels": "A file of several channels where one image is expected, or without the channel "
    "that is asked for.",
    "missing-file": "The case lacks a modality, its files cannot be told apart, or the header of a "
    "2D image or a DICOM series does not fit.",
    "different-grids": "Two images of a case differ in shape, or a corner of one lies more than "
    "0.001 mm from that of the other; with --align, all of one lies outside of the other.",
    "label-grid": "The label differs so from the first image.",
    "label-value": "The label holds a value that its convention does not have.",
    "label-outside": "More than half of the label lies where every image is background.",
    "empty-case": "All images of the case are zero in every voxel.",
}
_WARNED = {
    "no-orientation": "The header has neither qform nor sform: left and right are a guess.",
    "sform-qform": "Sform and qform have one code and place a corner more than 0.1 mm apart, or "
    "one of them mirrors the image, or the qform is no rotation; the sform is used.",
    "units": "The header says metres or micrometres; its numbers are taken as millimetres.",
    "unusual-spacing": "A voxel is smaller than 0.05 mm or larger than 20 mm along an axis.",
    "constant-image": "All voxels of an image have one value.",
    "identical-images": "Two modalities have the same voxels: perhaps one file twice.",
    "label-partly-outside": "Some of the label, at most half, lies where every image is "
    "background.",
}

CODES: dict[str, tuple[Severity, str]] = {
    **{code: (Severity.REFUSED, meaning) for code, meaning in _REFUSED.items()},
    **{code: (Severity.WARNED, meaning) for code, meaning in _WARNED.items()},
}
"""Severity and meaning of every finding, by its code."""


@dataclass(frozen=True)
class Finding:
    """Something that a person should know about a file.

    Args:
        code: one of ``CODES``.
        file: that it is about.
        sentence: what is wrong, where, and what to do.
    """

    code: str
    file: Path
    sentence: str

    @property
    def severity(self) -> Severity:
        """What becomes of the case."""
        return CODES[self.code][0]


class FileUserError(UserError):
    """A file is refused.

    A loading process tells its error as text, in which ``pipeline.errors.sentence`` looks for a
    name that ends in ``UserError``.
    """

    def __init__(self, sentence: str, code: str = "unreadable", file: Path | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.file = file or Path()

    @property
    def finding(self) -> Finding:
        """The same as a finding."""
        return Finding(self.code, self.file, str(self))


def refusal(code: str, file: Path, what: str, remedy: str) -> FileUserError:
    """The error of a file that is refused: its name, ``what`` is wrong, and the ``remedy``."""
    return FileUserError(f"{shown(file)} {what}: {remedy}", code, file)


def refuse(findings: Iterable[Finding]) -> None:
    """End on the first finding that refuses a case.

    Raises:
        FileUserError: there is one.
    """
    for finding in findings:
        if finding.severity is Severity.REFUSED:
            raise FileUserError(finding.sentence, finding.code, finding.file)


def shown(path: Path) -> str:
    r"""A path as it can stand in a sentence of one line, whatever bytes its name has.

    Examples:
        >>> shown(Path("a\nb.nii"))
        'a\\nb.nii'
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in str(path)
    )
