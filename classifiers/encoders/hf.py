"""Any transformers encoder, from a folder or a hub id: mean of its last hidden states."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import ConfigError
from ...backends.loading import loading
from ..sparse import Float32Array
from ..telling import counting
from .static import shorten

_BATCH = 32
_MAX_TOKENS = 512


class HfEncoder:
    """Mean-pooled, unit-length vectors of a transformers encoder."""

    def __init__(self, *, name: str, tokenizer: Any, model: Any) -> None:
        self._tokenizer = tokenizer
        self._model = model
        self.dim = int(model.config.hidden_size)
        self.id = f"hf:{name}#{_hash_of(model)}"
        self._max_tokens = most_tokens(tokenizer, model)

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Returns one vector a text, (n_texts, dim)."""
        import torch

        out = np.empty((len(texts), self.dim), dtype=np.float32)
        for rows in counting(batches_by_length(texts), "encoding batch"):
            batch = self._tokenizer(
                [shorten(texts[i]) for i in rows],
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            ).to(self._model.device)
            with torch.inference_mode():
                hidden = self._model(**batch).last_hidden_state
            mean = mean_pool(hidden, batch["attention_mask"])
            out[rows] = torch.nn.functional.normalize(mean, dim=-1).float().cpu().numpy()
        return out


def load_hf(name: str) -> HfEncoder:
    """Returns the encoder in a folder or, where the network allows, from the hub.

    Raises:
        ConfigError: the extra `local` is not installed, or there is no such model.
    """
    if not name:
        raise ConfigError("encoder: 'hf' needs a folder or hub id, as in hf:sentence-transformers/all-MiniLM-L6-v2")
    tokenizer, model = load_pretrained(name, what=f"encoder hf:{name}")
    return HfEncoder(name=name, tokenizer=tokenizer, model=model)


def load_pretrained(name: str, *, what: str) -> tuple[Any, Any]:
    """Returns tokenizer and model of a folder or hub id, the model on the GPU where there is one.

    Raises:
        ConfigError: the extra `local` is not installed, or there is no such model; it begins with `what`.
    """
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ConfigError(f"{what}: needs torch and transformers; pip install 'penstock[local]'") from error
    if name.startswith((".", "/")) and not Path(name).is_dir():
        raise ConfigError(f"{what}: there is no such folder")
    try:
        with loading():
            tokenizer = AutoTokenizer.from_pretrained(name)
            model = AutoModel.from_pretrained(name).eval()
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{what}: cannot be loaded: {reason}") from error
    return tokenizer, model.to("cuda" if torch.cuda.is_available() else "cpu")


def most_tokens(tokenizer: Any, model: Any) -> int:
    """Returns how many tokens of a text the model is given."""
    places = getattr(model.config, "max_position_embeddings", _MAX_TOKENS)
    return int(min(_MAX_TOKENS, tokenizer.model_max_length, places))


def batches_by_length(texts: Sequence[str]) -> list[list[int]]:
    """Returns the places of the texts in batches of like length, so that little is padded."""
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    return [by_length[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]


def mean_pool(hidden: Any, mask: Any) -> Any:
    """Returns the mean over the tokens that are not padding, (n, dim), of hidden states (n, n_tokens, dim)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


def _hash_of(model: Any) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
