"""The fine-tuned encoder: what every head promises, and that it learns what its encoder does not tell as it comes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import ConfigError
from penstock.classifiers import (
    ArtefactError,
    Features,
    FitError,
    Predictor,
    create_encoder,
    create_head,
    fit_with_out_of_fold,
)
from penstock.classifiers.persist import Arrays, dump, load
from penstock.classifiers.ridge import FloatArray
from penstock.classifiers.telling import telling

from .planted import features_of, plant, query_of


@pytest.fixture(scope="module")
def few(tiny_bert: Path) -> Predictor:
    """What is learned from 20 planted queries."""
    planted = plant(20)
    return create_head(f"finetune:{tiny_bert}").fit(planted.features, planted.quality, planted.folds).predictor_


def riddles(tiny_bert: Path, n: int) -> tuple[Features, FloatArray]:
    """Returns queries that are easy if one of two words stands in them but not both, as the encoder reads them."""
    rng = np.random.default_rng(0)
    texts, is_easy = [], []
    for _ in range(n):
        words = list(rng.choice(["the", "of", "is", "a", "number"], 4))
        chosen = rng.integers(2, size=2)
        for word in np.array(["river", "prime"])[chosen == 1]:
            words.insert(rng.integers(5), word)
        texts.append(" ".join(words))
        is_easy.append(chosen.sum() == 1)
    vectors = create_encoder(f"hf:{tiny_bert}").encode(texts)
    features = features_of(vectors.astype(np.float64), embedding_dim=vectors.shape[1], texts=texts)
    return features, np.stack([np.where(is_easy, 0.9, 0.1), np.full(n, 0.5)], axis=1)


def test_learns_what_no_line_through_the_frozen_encoder_tells(tiny_bert: Path) -> None:
    features, quality = riddles(tiny_bert, 300)
    quality[::3, 1] = np.nan
    folds = np.arange(300) % 3
    error = {}
    for name in ("linear", f"finetune:{tiny_bert}"):
        _, scores = fit_with_out_of_fold(name, features, quality, folds)
        error[name.partition(":")[0]] = float(np.mean((scores[:, 0] - quality[:, 0]) ** 2))
        assert scores[:, 1] == pytest.approx(np.full(300, 0.5), abs=0.1)
    assert error["linear"] > 0.1
    assert error["finetune"] < 0.05


def test_scores_have_a_row_a_query_and_a_column_a_backend(few: Predictor) -> None:
    features = plant(20).features
    scores = few.predict(features)
    assert scores.shape == (20, 2)
    assert ((scores > 0) & (scores < 1)).all()
    assert few.predict(features.take(np.empty(0, dtype=np.int64))).shape == (0, 2)


def test_one_query_is_predicted_as_in_a_batch(few: Predictor) -> None:
    features = plant(20).features
    batch = few.predict(features)
    for row in range(20):
        one = few.predict_one(query_of(features, row))
        assert one.dtype == np.float64
        assert one == pytest.approx(batch[row], abs=1e-5)


def test_the_same_seed_gives_the_same_bytes(tiny_bert: Path, few: Predictor) -> None:
    planted = plant(20)
    again = create_head(f"finetune:{tiny_bert}").fit(planted.features, planted.quality, planted.folds).predictor_
    one, other = Arrays(), Arrays()
    assert dump(few, "head", one) == dump(again, "head", other)
    assert {key: array.tobytes() for key, array in one.items()} == {key: a.tobytes() for key, a in other.items()}


def test_what_is_stored_gives_the_same_scores_and_names_no_folder(tiny_bert: Path, few: Predictor) -> None:
    arrays = Arrays()
    outline = dump(few, "head", arrays)
    again = load(outline, arrays)
    features = plant(20).features
    assert (again.predict(features) == few.predict(features)).all()
    assert str(tiny_bert) not in str(outline)


def test_missing_cells_and_a_query_that_nobody_was_asked_do_no_harm(tiny_bert: Path) -> None:
    planted = plant(20)
    quality = planted.quality.copy()
    quality[5] = np.nan
    quality[planted.folds != 0, 1] = np.nan
    _, scores = fit_with_out_of_fold(f"finetune:{tiny_bert}", planted.features, quality, planted.folds)
    assert np.isfinite(scores).all()


def test_out_of_fold_scores_never_see_their_own_query(tiny_bert: Path) -> None:
    planted = plant(20)
    changed = planted.quality.copy()
    changed[0] = 1 - changed[0]
    name = f"finetune:{tiny_bert}"
    _, before = fit_with_out_of_fold(name, planted.features, planted.quality, planted.folds)
    _, after = fit_with_out_of_fold(name, planted.features, changed, planted.folds)
    assert (after[0] == before[0]).all()
    assert (after != before).any()


def test_tells_how_far_it_is(tiny_bert: Path) -> None:
    planted = plant(20)
    said: list[str] = []
    with telling(said.append):
        create_head(f"finetune:{tiny_bert}").fit(planted.features, planted.quality, planted.folds)
    assert said[1].startswith("fold 1 of 3: epoch 1 of at most 20")


def test_long_and_strange_texts_have_scores(few: Predictor) -> None:
    texts = ["", "\0", "river " * 4000, "漢字", "🙂" * 50]
    features = features_of(np.ones((len(texts), 8)), embedding_dim=6, texts=texts)
    assert np.isfinite(few.predict(features)).all()


def test_without_a_folder_it_says_how_to_name_one() -> None:
    planted = plant(20)
    with pytest.raises(FitError, match=r"needs an encoder's folder, as in finetune:\./encoders/minilm"):
        create_head("finetune").fit(planted.features, planted.quality, planted.folds)


def test_a_folder_that_is_not_there_is_named() -> None:
    planted = plant(20)
    head = create_head("finetune:/nowhere/at/all")
    with pytest.raises(ConfigError, match="classifier finetune:/nowhere/at/all: there is no such folder"):
        head.fit(planted.features, planted.quality, planted.folds)


def test_without_torch_it_says_what_to_install(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant(20)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(FitError, match=r"classifier finetune: needs torch; pip install 'penstock\[local\]'"):
        create_head(f"finetune:{tiny_bert}").fit(planted.features, planted.quality, planted.folds)


def test_an_artefact_read_without_transformers_says_what_to_install(
    few: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = Arrays()
    outline = dump(few, "head", arrays)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ArtefactError, match=r"trained with classifier finetune.*pip install 'penstock\[local\]'"):
        load(outline, arrays)


@pytest.mark.parametrize("config", ["{}", '{"model_type": "penstock"}', '{"model_type": "bert", "hidden_size": 32}'])
def test_a_configuration_that_does_not_fit_the_weights_is_one_line(few: Predictor, config: str) -> None:
    with pytest.raises(ArtefactError, match="the encoder cannot be built") as caught:
        replace(few, config=config)  # type: ignore[type-var] # every predictor is a dataclass
    assert "\n" not in str(caught.value)
