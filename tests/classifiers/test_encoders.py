"""What every encoder promises. `SUBJECTS` names one of each built-in kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import ConfigError
from penstock.classifiers import ENCODERS, Encoder, create_encoder

SUBJECTS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "static": lambda request: "static",
    "hf": lambda request: f"hf:{request.getfixturevalue('tiny_bert')}",
}
HOSTILE = [
    "",
    " ",
    "\0\0",
    "\ud800 lone",
    "🙂" * 50,
    "漢字かな",
    "word " * 4000,
    "x" * 20_000,
    "\x1b[31m",
    "a\u0301" * 300,
]


@pytest.fixture(params=sorted(SUBJECTS))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return create_encoder(SUBJECTS[request.param](request))


def test_every_built_in_encoder_has_a_subject() -> None:
    assert set(SUBJECTS) == set(ENCODERS)


def test_gives_one_unit_vector_a_text_in_order(encoder: Encoder) -> None:
    texts = ["what is a prime number?", "a river", "prove the integral of the river is a number"]
    vectors = encoder.encode(texts)
    assert vectors.shape == (3, encoder.dim)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        assert encoder.encode([text])[0] == pytest.approx(vector, abs=1e-5)


def test_different_texts_have_different_vectors(encoder: Encoder) -> None:
    one, other = encoder.encode(["the river is a river", "prove the prime number 7"])
    assert np.abs(one - other).max() > 1e-3


def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_hostile_texts_give_finite_vectors(encoder: Encoder) -> None:
    assert np.isfinite(encoder.encode(HOSTILE)).all()


def test_loading_again_gives_the_same_id_and_vectors(request: pytest.FixtureRequest) -> None:
    for subject in SUBJECTS.values():
        one, other = (create_encoder(subject(request)) for _ in range(2))
        assert one.id == other.id
        assert (one.encode(["a river"]) == other.encode(["a river"])).all()


def test_loading_writes_nothing(tiny_bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    create_encoder(f"hf:{tiny_bert}")
    assert capfd.readouterr() == ("", "")


def test_the_id_changes_with_the_weights(tiny_bert: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(tiny_bert)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[7, 0] += 1
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path)
    one, other = create_encoder(f"hf:{tiny_bert}"), create_encoder(f"hf:{tmp_path}")
    assert one.id.rpartition("#")[2] != other.id.rpartition("#")[2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("word2vec", "expected one of static, hf"),
        ("static:large", "'static' takes no argument"),
        ("hf", "needs a folder or hub id"),
        ("hf:/nowhere/at/all", "there is no such folder"),
        ("penstock.nowhere:Encoder", "cannot load"),
        ("os:abort", "is not a class with `encode`"),
        ("builtins:exit", "is not a class with `encode`"),
        ("decimal:Decimal", "is not a class with `encode`"),
    ],
)
def test_an_encoder_that_cannot_be_made_is_one_line(name: str, message: str) -> None:
    if name.startswith("hf:"):
        pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match=message) as caught:
        create_encoder(name)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="cannot be loaded") as caught:
        create_encoder(f"hf:{tmp_path}")
    assert "\n" not in str(caught.value)
