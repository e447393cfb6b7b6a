"""Handwritten digits for the problems here: scikit-learn's own copy, nothing is downloaded.

1797 images of 8 x 8 pixels: Alpaydin, E., Kaynak, C. (1998), "Optical recognition of handwritten
digits", UCI Machine Learning Repository. They are used in their order, not shuffled: neighbours are
by the same writer, and a shuffled split would flatter every score.
"""

import functools
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SOURCE = "digits: Alpaydin and Kaynak (1998), from scikit-learn"
PIXELS = 64
CLASSES = 10


def require() -> None:
    """Check that the digits are here.

    Raises
    ------
    ModuleNotFoundError
        If scikit-learn, which brings them, is not installed; it says how to install it.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise ModuleNotFoundError(
            "the digits come with scikit-learn, which is not installed; run: "
            'pip install -e ".[problems]"',
            name="sklearn",
        )


@functools.cache
def load() -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the images, float32 (1797, 64) from 0 to 1, and their labels, int64 (1797,)."""
    require()
    import torch
    from sklearn.datasets import load_digits

    data = load_digits()
    return torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)
