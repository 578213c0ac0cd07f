"""All damaged and absurd files; those of headers are in ``tests.hostile_headers``."""

import bz2
import gzip
import io
import lzma
import os
import socket
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from tests.hostile_headers import (
    BIG,
    DATA,
    GOOD,
    GOOD2,
    NUM_DIMS,
    OFFSET,
    VOXELS,
    ZIPPED,
    Hostile,
    affines,
    cuts,
    fields,
    file,
    flipped,
    flips,
    good,
    patched,
    sizes,
)


@cache
def all_of(family: str) -> tuple[Hostile, ...]:
    """The files of one of ``FAMILIES``."""
    return tuple(FAMILIES[family]())


def containers() -> Iterator[Hostile]:
    """Zips in zips, other kinds of files, and what follows the end."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("image.nii", GOOD)
    for name, content in {
        "zip archive": archive.getvalue(), "bzip2": bz2.compress(GOOD), "xz": lzma.compress(GOOD),
        "zip archive, zipped": gzip.compress(archive.getvalue()), "text": b"no image\n" * 99,
        "DICOM": bytes(128) + b"DICM" + bytes(999), "PNG": b"\x89PNG\r\n\x1a\n" + bytes(999),
        "zeros": bytes(9999), "ones": b"\xff" * 9999,
    }.items():  # fmt: skip
        yield file(name, content, "not-nifti")
    for seed in range(10):
        noise = np.random.default_rng(seed).bytes(3000)
        yield file(f"noise {seed}", noise, "not-nifti", "damaged-gzip")
        yield file(f"noise {seed} behind gzip's magic", b"\x1f\x8b\x08" + noise, "damaged-gzip")
    nested = gzip.compress(ZIPPED)
    yield file("gzip in gzip", nested, "nested-gzip")
    yield file("gzip in gzip in gzip", gzip.compress(nested), "nested-gzip")
    for name, more in {"text": b"more", "half a magic": b"\x1f", "zip": ZIPPED[:9]}.items():
        yield file(f"{name} behind a zip", ZIPPED + more, "damaged-gzip")
    yield file("zeros behind a zip", ZIPPED + bytes(70000), voxels=VOXELS)
    halves = gzip.compress(GOOD[:351]) + bytes(3) + gzip.compress(GOOD[351:])
    yield file("two members", halves, voxels=VOXELS)
    empty = gzip.compress(b"")
    yield file("ten thousand empty members", ZIPPED + 10**4 * empty, voxels=VOXELS)
    yield file("empty members first", 1000 * empty + ZIPPED, voxels=VOXELS)
    yield file("two zips of images", ZIPPED + ZIPPED, "surplus-bytes")
    for name, more in {"a byte": b"\0", "text": b"more", "an image": GOOD}.items():
        yield file(f"{name} behind the voxels", GOOD + more, "surplus-bytes", suffix=".nii")
        yield file(f"{name} behind, zipped", gzip.compress(GOOD + more), "surplus-bytes")
    bomb = gzip.compress(GOOD + bytes(2**25), compresslevel=9)
    yield file("32 MiB of zeros behind the voxels", bomb, "surplus-bytes")
    claim = patched((NUM_DIMS, "4h", (3, 4096, 4096, 2048)))
    yield file("64 GiB claimed, 32 MiB zipped", gzip.compress(claim + bytes(2**25)), "too-large")
    extended = GOOD[:348] + b"\1\0\0\0" + b"\xff" * 16 + DATA
    content = patched((OFFSET, "f", 368), content=extended)
    yield file("nonsense as an extension", content, voxels=VOXELS, suffix=".nii")
    yield file("another byte order", BIG, voxels=VOXELS, suffix=".nii")
    yield file("NIfTI-2", GOOD2, voxels=VOXELS, suffix=".nii")
    yield file("not zipped as its name says", GOOD, voxels=VOXELS)
    yield file("zipped, not as its name says", ZIPPED, voxels=VOXELS, suffix=".nii")


def pairs() -> Iterator[Hostile]:
    """Header and voxels in two files."""
    header, zipped = good(pair=True), gzip.compress
    for name, first, second, codes in (
        ("whole", header, DATA, ()), ("zipped", zipped(header), zipped(DATA), ()),
        ("no voxels", header, None, ("unreadable",)), ("short", header, DATA[:-1], ("truncated",)),
        ("long", header, DATA + b"\0", ("surplus-bytes",)), ("empty", header, b"", ("empty-file",)),
        ("single header", GOOD[:352], DATA, ("not-nifti",)),
        ("damaged", header, flipped(zipped(DATA), 40), ("damaged-gzip",)),
        ("short, zipped", header, zipped(DATA[:-1]), ("truncated",)),
        ("short header", header[:-1], DATA, ("truncated",)),
    ):  # fmt: skip
        for given in (".hdr", ".img"):

            def make(folder: Path, first=first, second=second, given=given) -> Path:
                (folder / "image.hdr").write_bytes(first)
                if second is not None:
                    (folder / "image.img").write_bytes(second)
                return folder / f"image{given}"

            yield Hostile(f"{name} {given}", make, frozenset(codes), None if codes else VOXELS)


def no_files() -> Iterator[Hostile]:
    """What has the name of a file and is none."""

    def a_socket(path: Path) -> None:
        here = Path.cwd()
        os.chdir(path.parent)  # the address of a socket is short
        try:
            with socket.socket(socket.AF_UNIX) as opened:
                opened.bind(path.name)
        finally:
            os.chdir(here)

    for name, create in {
        "missing": lambda _: None, "folder": Path.mkdir, "socket": a_socket, "pipe": os.mkfifo,
        "link to itself": lambda path: path.symlink_to(path.name),
        "link to nothing": lambda path: path.symlink_to("nothing"),
        "endless device": lambda path: path.symlink_to("/dev/zero"),
        "link to its folder": lambda path: path.symlink_to("."),
    }.items():  # fmt: skip

        def make(folder: Path, create=create) -> Path:
            path = folder / "image.nii.gz"
            create(path)
            return path

        yield Hostile(name, make, frozenset({"unreadable"}))
    yield Hostile(
        "null byte in the name", lambda folder: folder / "a\0.nii", frozenset({"unreadable"})
    )


def names() -> Iterator[Hostile]:
    """Good and bad files of unusual names."""
    unusual = (
        "with space", "two\nlines", "-rf", "--help", "häßlich", "脑", "a'b\"c", "$(x)", "*", "\\n",
        "\x1b[31mred", "a\tb", os.fsdecode(b"\xff\xfe"), "x" * 240, "..nii", "a:b", "%s{}", "[red]",
    )  # fmt: skip
    for name in unusual:
        for kind, content, codes in (("good", ZIPPED, ()), ("bad", ZIPPED[:-1], ("damaged-gzip",))):

            def make(folder: Path, name=name, content=content) -> Path:
                path = folder / f"{name}.nii.gz"
                path.write_bytes(content)
                return path

            voxels = None if codes else VOXELS
            yield Hostile(f"{kind} {name!r}", make, frozenset(codes), voxels)


FAMILIES: dict[str, Callable[[], Iterator[Hostile]]] = {
    family.__name__: family
    for family in (cuts, flips, sizes, fields, affines, containers, pairs, no_files, names)
}
