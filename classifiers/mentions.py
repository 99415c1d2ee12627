"""Whether a text holds one of several words at all: told so quickly that a pattern need not be tried on most texts."""

from __future__ import annotations

from collections.abc import Iterable


def mentions_any(text: str, words: Iterable[str]) -> bool:
    """Returns whether one of these words, or parts of words, is in a text.

    >>> mentions_any("perhaps 12", ("maybe", "perhaps"))
    True
    """
    for word in words:  # noqa: SIM110  # every answer is asked some hundred times; `any` takes half as long again
        if word in text:
            return True
    return False
