"""The tables of numbers that ship with the package, fitted to public traces by `python -m penstock.training.prior`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ArtefactError


def save_table(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Writes a table as safetensors; the same numbers, the same bytes."""
    from safetensors.numpy import save

    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def load_table(name: str, *, what: str, n_weights: int, each: str) -> dict[str, NDArray[Any]]:
    """Returns the table of that name, of which `what` is learned; it has a weight for `each` of so many.

    Raises:
        ArtefactError: it has another number of weights: it does not fit the code around it.
    """
    from safetensors.numpy import load

    arrays = load((resources.files(__package__) / "data" / "prior" / f"{name}.safetensors").read_bytes())
    if arrays["weights"].shape != (n_weights,):
        raise ArtefactError(
            f"{what} was learned from {len(arrays['weights'])} {each}, and there are {n_weights} now; make it anew with"
            " `python -m penstock.training.prior`"
        )
    return arrays
