"""Numbers as arrays without dimensions."""

import numpy as np
import pytest

from penstock.classifiers.constant import constant
from penstock.classifiers.surface import SURFACE_NAMES, standardize


def test_operations_on_an_array_of_the_same_kind_keep_it() -> None:
    for kind in (np.float32, np.float64, np.uint64):
        assert (np.ones(3, dtype=kind) * constant(2, kind)).dtype == kind


def test_a_constant_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        constant(0.5, np.float64)[...] = 1


def test_standardized_features_stay_of_single_precision_and_within_bounds() -> None:
    surface = np.linspace(-100, 100, len(SURFACE_NAMES), dtype=np.float32)
    found = standardize(surface, np.zeros_like(surface), np.ones_like(surface))
    assert found.dtype == np.float32
    assert found.min() == np.float32(-0.4)
    assert found.max() == np.float32(0.4)
