"""Any transformers encoder, from a folder or a hub id: mean of its last hidden states."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...backends import ConfigError
from ..sparse import Float32Array
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
        places = getattr(model.config, "max_position_embeddings", _MAX_TOKENS)
        self._max_tokens = min(_MAX_TOKENS, tokenizer.model_max_length, places)

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Returns one vector a text, (n_texts, dim)."""
        import torch

        out = np.empty((len(texts), self.dim), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding in a batch
        for start in range(0, len(texts), _BATCH):
            rows = by_length[start : start + _BATCH]
            batch = self._tokenizer(
                [shorten(texts[i]) for i in rows],
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            ).to(self._model.device)
            with torch.inference_mode():
                hidden = self._model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            out[rows] = torch.nn.functional.normalize(mean, dim=-1).float().cpu().numpy()
        return out


def load_hf(name: str) -> HfEncoder:
    """Returns the encoder in a folder or, where the network allows, from the hub.

    Raises:
        ConfigError: the extra `local` is not installed, or there is no such model.
    """
    if not name:
        raise ConfigError("encoder: 'hf' needs a folder or hub id, as in hf:sentence-transformers/all-MiniLM-L6-v2")
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ConfigError(f"encoder hf:{name}: needs torch and transformers; pip install 'penstock[local]'") from error
    if name.startswith((".", "/")) and not Path(name).is_dir():
        raise ConfigError(f"encoder hf:{name}: there is no such folder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModel.from_pretrained(name).eval()
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"encoder hf:{name}: cannot be loaded: {reason}") from error
    return HfEncoder(name=name, tokenizer=tokenizer, model=model.to("cuda" if torch.cuda.is_available() else "cpu"))


def _hash_of(model: Any) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
