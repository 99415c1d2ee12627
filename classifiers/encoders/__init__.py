"""Text to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...backends import resolve
from ..sparse import Float32Array

ENCODERS = {
    "static": "penstock.classifiers.encoders.static:load_static",
    "hf": "penstock.classifiers.encoders.hf:load_hf",
}


class Encoder(Protocol):
    """Turns texts into vectors of unit length. `id` names it, with its weights' hash, in the artefact."""

    id: str
    dim: int

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Returns one vector a text, (n_texts, dim)."""
        ...


def create_encoder(name: str) -> Encoder:
    """Returns the encoder called `static`, or `hf:<folder or hub id>`, or `package.module:Class`.

    An artefact names its encoder, so nothing but a class that encodes is ever called.

    Raises:
        ConfigError: the name is unknown or the encoder cannot be loaded.
    """
    kind, _, argument = name.partition(":")
    if kind in ENCODERS:
        built_in: Encoder = resolve(kind, ENCODERS, what="encoder")(argument)
        return built_in
    encoder: Encoder = resolve(name, ENCODERS, what="encoder", methods=("encode",))()
    return encoder


__all__ = ["ENCODERS", "Encoder", "create_encoder"]
