from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no types

from penstock.classifiers import QueryModel, Trained, fit_confidence, no_escalation, signal_names

from .planted import model_of


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keeps BLAS to one thread, as training does: on a busy machine several wait for each other for seconds."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="session")
def model() -> QueryModel:
    """A small fitted model of three backends."""
    return model_of()


@pytest.fixture(scope="session")
def trained(model: QueryModel) -> Trained:
    """That model with a confidence model beside it."""
    rng = np.random.default_rng(0)
    n = 60
    labels = rng.integers(0, 2, n).astype(float)
    values = rng.normal(size=(n, len(signal_names()))) + labels[:, None]
    confidence, _ = fit_confidence(
        values=values,
        estimates=np.full(n, 0.5),
        labels=labels,
        backend_of=np.arange(n) % 3,
        folds=np.arange(n) % 4,
        backends=model.backends,
    )
    return Trained(model=model, confidence=confidence, escalation=no_escalation(3))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a transformers encoder of random weights, one layer and 16 dimensions."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tiny-bert")
    words = ("the", "of", "what", "is", "a", "river", "prime", "number", "prove", "integral")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *"abcdefghijklmnopqrstuvwxyz?.0123456789"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder
