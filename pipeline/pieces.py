"""Connected pieces of a mask."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def largest_piece(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """``mask`` (*S) without all but its largest piece (touching by faces, edges or corners).

    It is looked for in the box around the mask.
    """
    from scipy import ndimage  # takes half a second, and few bundles need it

    largest = np.zeros(mask.shape, bool)
    if mask.any():
        box = ndimage.find_objects(mask.astype(np.uint8))[0]
        pieces, count = ndimage.label(mask[box], np.ones([3] * mask.ndim))
        sizes = np.zeros(count + 1, np.int64)
        for plane in pieces:  # since bincount takes eight bytes for each number
            sizes += np.bincount(plane.ravel(), minlength=count + 1)
        sizes[0] = 0
        largest[box] = pieces == sizes.argmax()
    return largest
