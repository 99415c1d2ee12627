"""What can go wrong with classifiers and their files, as one tree.

    PenstockError
    ├── ArtefactError    a trained router on disk is missing, damaged, or of another version
    └── FitError         the data cannot teach what was asked

The root is the one of `penstock.backends`.
"""

from __future__ import annotations

from ..backends import PenstockError


class ArtefactError(PenstockError):
    """A trained router cannot be loaded or saved; the text names the file and what is wrong with it."""


class FitError(PenstockError):
    """The data given to `fit` has the wrong shape or cannot teach what was asked."""
