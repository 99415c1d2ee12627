"""The models that ship with the package, a folder each: weights, configuration, tokenizer, chat template, model card.

`python -m penstock.training.embedded` makes them. A backend of type `local` names one as `model: embedded:small`.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import ConfigError

EMBEDDED = ("small", "mid", "lrm")
_PREFIX = "embedded:"


def is_embedded(model: str) -> bool:
    """Returns whether the model is named as one that ships with the package."""
    return model.startswith(_PREFIX)


def embedded_folder(model: str, *, where: str) -> Path:
    """Returns the folder of `embedded:NAME`.

    Raises:
        ConfigError: none of that name ships.
    """
    name = model.removeprefix(_PREFIX)
    if name not in EMBEDDED:
        expected = ", ".join(_PREFIX + each for each in EMBEDDED)
        raise ConfigError(f"{where}: unknown {model!r}; expected one of {expected}")
    return Path(__file__).parent / name
