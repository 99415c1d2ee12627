"""A router whose classifier is a fine-tuned encoder, from traces to artefact and back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from penstock.classifiers import load_artefact, save_artefact
from penstock.training import fit, split_queries


def test_a_fine_tuned_encoder_is_asked_for_by_its_folder_and_served_without_it(  # type: ignore[no-untyped-def]
    demo, tiny_bert: Path, tmp_path: Path
) -> None:
    few = demo.dataset.take(np.arange(25))
    encoder, out = tmp_path / "encoder", tmp_path / "artefact"
    shutil.copytree(tiny_bert, encoder)
    fitted = fit(few, split_queries(few, seed=0), classifier=f"finetune:{encoder}")
    save_artefact(fitted.trained, out, training_data_sha256="0" * 64, seed=0, metrics=fitted.metrics)
    shutil.rmtree(encoder)
    trained, manifest = load_artefact(out)
    assert manifest.classifier == f"finetune:{encoder}"
    for text in ("2 + 2?", "How many days are 5 weeks?"):
        before, after = fitted.trained.model.estimate(text), trained.model.estimate(text)
        assert (after.quality == before.quality).all()


def test_without_a_folder_the_encoder_of_the_features_is_tuned(demo, tiny_bert: Path) -> None:  # type: ignore[no-untyped-def]
    few = demo.dataset.take(np.arange(25))
    fitted = fit(few, split_queries(few, seed=0), encoder=f"hf:{tiny_bert}", classifier="finetune")
    assert fitted.trained.model.classifier == f"finetune:{tiny_bert}"
