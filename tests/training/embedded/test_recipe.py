"""The recipe: it learns, goes on where it stopped, and writes what the `local` backend answers from."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.backends import BackendSpec, Query, create_backend
from penstock.training.embedded import __main__ as recipe
from penstock.training.embedded import stream, trainer
from penstock.training.embedded.stream import make_chunk
from penstock.training.embedded.tiers import TIERS, Tier
from penstock.training.embedded.tokens import train_tokenizer
from penstock.training.errors import TraceError
from penstock.training.progress import Silent

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

TINY = replace(TIERS["lrm"], width=32, layers=1, heads=1, hidden=32, chunks=2)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(0)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "N_EXAMPLES", 120)


def run(tokenizer: Any, folder: Path, *, chunks: int = 2, tier: Tier = TINY) -> Any:
    return trainer.train(
        tier, tokenizer, folder=folder, seed=1, chunks=chunks, device="cpu", progress=Silent()
    ).state_dict()


def test_batches_are_the_same_for_the_same_place_and_differ_by_place(tokenizer: Any) -> None:
    first, again, other = (
        [batch.ids.tobytes() for batch in make_chunk(TINY, tokenizer, seed=1, place=place)] for place in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_only_the_reply_is_learned(tokenizer: Any) -> None:
    batch = next(iter(make_chunk(TINY, tokenizer, seed=1, place=0)))
    marks = {tokenizer.token_to_id(effort) for effort in ("<|low|>", "<|medium|>", "<|high|>")}
    end = tokenizer.token_to_id("<|end|>")
    for ids, is_reply in zip(batch.ids, batch.is_reply, strict=True):
        learned = np.flatnonzero(is_reply)
        assert ids[learned[0] - 1] in marks
        assert ids[learned[-1]] == end
        assert not is_reply[: learned[0]].any()


def test_training_that_was_stopped_ends_where_it_would_have(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tokenizer, tmp_path / "whole")
    monkeypatch.setattr(trainer, "_SAVE_EVERY", 1)

    def stop_at_second(*arguments: Any, **named: Any) -> Any:
        if named["place"] == 1:
            raise KeyboardInterrupt
        return make_chunk(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "make_chunk", stop_at_second)
        with pytest.raises(KeyboardInterrupt):
            run(tokenizer, tmp_path / "stopped")
    resumed = run(tokenizer, tmp_path / "stopped")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_checkpoint_of_another_run_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    run(tokenizer, tmp_path, chunks=1)
    with pytest.raises(TraceError, match=r"checkpoint\.pt: of another run; remove it"):
        run(tokenizer, tmp_path, chunks=2)


def test_training_makes_replies_likelier(tokenizer: Any, tmp_path: Path) -> None:
    batch = next(iter(make_chunk(TINY, tokenizer, seed=1, place=99)))
    untrained = trainer.build_model(TINY, tokenizer, seed=1)
    before = trainer._loss(untrained, batch, "cpu").item()
    model = trainer.build_model(TINY, tokenizer, seed=1)
    model.load_state_dict(run(tokenizer, tmp_path, chunks=4))
    assert trainer._loss(model, batch, "cpu").item() < before - 0.5


def test_command_writes_a_model_that_the_local_backend_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(recipe.TIERS, "lrm", TINY)
    out = tmp_path / "out"
    assert recipe.main(["--out", str(out), "--only", "lrm", "--share", "0.5", "--per-cell", "1", "--quiet"]) == 0
    assert "lrm@high" in capsys.readouterr().out
    card = (out / "lrm" / "README.md").read_text(encoding="utf-8")
    assert "| multiply |" in card
    assert "effort `medium`" in card
    assert len((out / "lrm.exam.jsonl").read_text().splitlines()) == 11 * 6 * 3

    async def ask() -> int:
        backend = create_backend(BackendSpec(name="lrm@high", type="local", model=str(out / "lrm"), effort="high"))
        try:
            return (await backend.complete(Query.from_text("What is 3 + 4?"))).usage.output_tokens
        finally:
            await backend.aclose()

    assert 0 < asyncio.run(ask()) <= 160


@pytest.mark.parametrize("share", ["0", "-1", "many", "11"])
def test_a_share_that_means_nothing_is_refused(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        recipe.main(["--out", "x", "--share", share])
    assert raised.value.code == 2
    assert "expected a number above 0" in capsys.readouterr().err
