"""Cases of DICOM files go by a pseudonym in whatever layout they lie."""

from collections import Counter
from dataclasses import replace

from pipeline.data.dicom import pseudonym
from pipeline.data.layouts.found import Found, Listing
from pipeline.errors import UserError


def pseudonymous(listing: Listing) -> Listing:
    """``listing`` whose cases with a DICOM image are private and named by its pseudonym.

    Raises:
        UserError: two of these are one study.
    """
    cases = tuple(_pseudonymous(found) for found in listing.cases)
    for name, count in Counter(found.name for found in cases if found.private).items():
        if count > 1:
            raise UserError(
                f"several cases in {listing.source} are of the DICOM study {name}: keep one of them"
            )
    return replace(listing, cases=cases)


def _pseudonymous(found: Found) -> Found:
    if found.private:
        return found
    images = (path for key, (path, _) in sorted(found.files.items()) if key != "label")
    name = pseudonym(images)
    if name is None:
        return found
    problems = {
        key: text.replace(f"case {found.name} ", f"case {name} ", 1)
        for key, text in found.problems.items()
    }
    return replace(found, name=name, problems=problems, private=True)
