from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from penstock.classifiers import (
    ArtefactError,
    Trained,
    check_folder,
    load_artefact,
    no_escalation,
    read_manifest,
    save_artefact,
)
from penstock.classifiers.artefact import SCHEMA

QUESTION = "prove the theorem of the river"


def save(trained: Trained, folder: Path, *, seed: int = 7) -> Path:
    save_artefact(trained, folder, training_data_sha256="ab" * 32, seed=seed, metrics={"brier": 0.125, "n": [1, 2]})
    return folder


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    return save(trained, tmp_path / "artefact")


@pytest.fixture
def other(trained: Trained) -> Trained:
    """A router that differs from the other one in its weights."""
    return replace(trained, escalation=replace(no_escalation(3), power=np.full(3, 0.5)))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def reseal(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the manifest as somebody would who knows how it is sealed."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    del manifest["seal"]
    change(manifest)
    seal = hashlib.sha256(orjson.dumps(manifest, option=options)).hexdigest()
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest | {"seal": seal}, option=options) + b"\n")


def refusal(folder: Path) -> str:
    """Returns the one line that says why the artefact cannot be loaded."""
    with pytest.raises(ArtefactError) as caught:
        load_artefact(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_what_was_saved_is_loaded(trained: Trained, folder: Path) -> None:
    again, manifest = load_artefact(folder)
    one, two = trained.model.estimate(QUESTION), again.model.estimate(QUESTION)
    assert (one.quality == two.quality).all()
    np.testing.assert_array_equal(one.cost_usd, two.cost_usd)
    assert [item.query for item in again.model.nearest(QUESTION)] == [
        item.query for item in trained.model.nearest(QUESTION)
    ]
    assert again.confidence is not None
    assert manifest.backends == ("small", "mid", "lrm")
    assert manifest.encoder == "static"
    assert manifest.classifier == "linear"
    assert (manifest.seed, manifest.training_data_sha256) == (7, "ab" * 32)
    assert manifest.metrics == {"brier": 0.125, "n": [1, 2]}
    assert set(manifest.package_versions) == {"penstock", "numpy", "tokenizers", "safetensors"}


def test_a_router_without_confidence_is_loaded(trained: Trained, tmp_path: Path) -> None:
    again, _ = load_artefact(save(replace(trained, confidence=None), tmp_path / "artefact"))
    assert again.confidence is None


def test_the_same_router_gives_the_same_bytes(trained: Trained, folder: Path, tmp_path: Path) -> None:
    again, _ = load_artefact(folder)
    assert contents(save(trained, tmp_path / "twice")) == contents(folder)
    assert contents(save(again, tmp_path / "reloaded")) == contents(folder)


def test_there_is_no_pickle_in_it(folder: Path) -> None:
    assert sorted(contents(folder)) == ["manifest.json", "weights.safetensors"]
    orjson.loads((folder / "manifest.json").read_bytes())
    header = (folder / "weights.safetensors").read_bytes()
    orjson.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.999])
def test_a_flipped_bit_in_the_weights_is_noticed(folder: Path, share: float) -> None:
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1
    path.write_bytes(bytes(data))
    assert "does not match the hash" in refusal(folder)


def test_a_flipped_bit_anywhere_in_the_manifest_is_noticed(folder: Path) -> None:
    path = folder / "manifest.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        for bit in (1, 128):
            data = bytearray(whole)
            data[place] ^= bit
            path.write_bytes(bytes(data))
            refusal(folder)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_cut_file_is_noticed(folder: Path, name: str, length: int) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:length])
    assert name in refusal(folder)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{name}: no such file" in refusal(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "null", '"x"', "{}", '{"name": "an app", "start_url": "/"}', '{"schema": "1"}']
)
def test_the_manifest_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    refusal(tmp_path)


def test_a_folder_or_file_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path)
    assert "no such file" in refusal(tmp_path / "nowhere")
    (tmp_path / "file").write_text("text")
    assert "cannot be read" in refusal(tmp_path / "file")


def test_a_newer_schema_asks_for_an_upgrade(folder: Path) -> None:
    reseal(folder, lambda manifest: manifest.update(schema=99))
    assert f"schema 99 is newer than this version reads ({SCHEMA}); upgrade penstock" in refusal(folder)


def test_an_older_schema_asks_to_train_again(folder: Path) -> None:
    reseal(folder, lambda manifest: manifest.update(schema=1))
    assert f"schema 1 is older than this version reads ({SCHEMA}); train again" in refusal(folder)


@pytest.mark.parametrize("key", ["backends", "encoder", "files", "outline", "metrics", "seed"])
def test_a_sealed_manifest_that_lacks_something_is_refused(folder: Path, key: str) -> None:
    reseal(folder, lambda manifest: manifest.pop(key))
    assert "not an artefact's manifest" in refusal(folder)


@pytest.mark.parametrize("files", [[], {}, {"../weights.safetensors": "00"}, None])
def test_a_sealed_manifest_of_other_files_is_refused(folder: Path, files: Any) -> None:
    reseal(folder, lambda manifest: manifest.update(files=files))
    refusal(folder)


def test_a_sealed_manifest_can_run_nothing(folder: Path) -> None:
    def ask_for_a_shell(manifest: dict[str, Any]) -> None:
        manifest["outline"]["fields"]["model"]["fields"]["encoder"] = {"value": "os:abort"}

    reseal(folder, ask_for_a_shell)
    assert "is not a class with `encode`" in refusal(folder)


def test_a_sealed_outline_of_something_else_is_refused(folder: Path) -> None:
    reseal(folder, lambda manifest: manifest.update(outline={"value": 3}))
    assert "expected a trained router" in refusal(folder)


def test_a_sealed_manifest_nested_too_deeply_is_refused(folder: Path) -> None:
    deep = f'{{"schema": {SCHEMA}, "metrics": '.encode() + b"[" * 500 + b"]" * 500 + b"}"
    (folder / "manifest.json").write_bytes(deep)
    assert "does not match its own seal" in refusal(folder)


def test_weights_that_are_no_safetensors_are_refused(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"not weights")
    digest = hashlib.sha256(b"not weights").hexdigest()
    reseal(folder, lambda manifest: manifest.update(files={"weights.safetensors": digest}))
    assert "not a safetensors file" in refusal(folder)


def test_another_encoder_asks_to_train_again(folder: Path) -> None:
    def change_the_encoder(manifest: dict[str, Any]) -> None:
        manifest["outline"]["fields"]["model"]["fields"]["encoder_id"] = {"value": "static:0123"}

    reseal(folder, change_the_encoder)
    assert "train again" in refusal(folder)


def test_an_older_artefact_is_replaced(other: Trained, folder: Path) -> None:
    save(other, folder, seed=8)
    again, manifest = load_artefact(folder)
    assert manifest.seed == 8
    assert (again.escalation.power == 0.5).all()
    assert sorted(contents(folder)) == ["manifest.json", "weights.safetensors"]


def test_a_damaged_artefact_can_be_replaced(trained: Trained, folder: Path) -> None:
    for name in ("manifest.json", "weights.safetensors"):
        (folder / name).write_bytes((folder / name).read_bytes()[:-5])
    load_artefact(save(trained, folder))


def test_other_files_in_the_folder_are_left_alone(other: Trained, folder: Path) -> None:
    (folder / "report.html").write_text("a report")
    save(other, folder)
    assert contents(folder)["report.html"] == b"a report"


def test_an_empty_folder_and_missing_parents_are_fine(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    load_artefact(save(trained, tmp_path / "empty"))
    load_artefact(save(trained, tmp_path / "a" / "b" / "c"))


@pytest.mark.parametrize("name", ["notes.txt", "manifest.json", "weights.bin"])
def test_a_folder_of_something_else_is_left_alone(trained: Trained, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"name": "an app"}')
    with pytest.raises(ArtefactError, match="exists and is not an artefact"):
        save(trained, tmp_path)
    assert contents(tmp_path) == {name: b'{"name": "an app"}'}


def test_a_file_in_its_place_is_left_alone(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(ArtefactError, match="exists and is not an artefact"):
        save(trained, tmp_path / "file")
    with pytest.raises(ArtefactError, match="cannot be written"):
        save(trained, tmp_path / "file" / "below")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_may_not_be_written_to_is_told_beforehand(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o500)
    with pytest.raises(ArtefactError, match="kept is read-only to this user"):
        check_folder(tmp_path / "kept" / "new" / "newer")


def test_checking_a_folder_makes_nothing(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "newer")
    assert not list(tmp_path.iterdir())


def test_metrics_that_are_no_json_are_refused_before_anything_is_written(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="cannot be written as JSON"):
        save_artefact(trained, tmp_path / "a", training_data_sha256="", seed=0, metrics={"auroc": object()})
    assert not (tmp_path / "a").exists()


class Interrupted(BaseException):
    """Stands for a crash."""


@pytest.mark.parametrize("survived", range(9))
def test_an_interrupted_saving_leaves_the_old_artefact_or_the_new_one(
    trained: Trained, other: Trained, folder: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    left = survived

    def interruptible(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Interrupted
            left -= 1
            return function(*args, **options)

        return run

    with monkeypatch.context() as patched:
        for module, name in ((Path, "replace"), (Path, "unlink"), (os, "fsync")):
            patched.setattr(module, name, interruptible(getattr(module, name)))
        for attempt in (other, trained, other):  # a second interruption may meet what the first one left behind
            left = survived
            with pytest.raises(Interrupted) if survived < 8 else nullcontext():  # eight steps in all
                save(attempt, folder, seed=8)
            again, manifest = load_artefact(folder)
            is_old = bool((again.escalation.power == trained.escalation.power).all())
            assert manifest.seed in (7, 8)
            assert is_old or bool((again.escalation.power == 0.5).all())
    again, manifest = load_artefact(save(other, folder, seed=9))
    assert (manifest.seed, again.escalation.power[0]) == (9, 0.5)
    assert sorted(contents(folder)) == ["manifest.json", "weights.safetensors"]


def test_an_interrupted_first_saving_can_be_repeated(trained: Trained, tmp_path: Path) -> None:
    for name in ("weights.safetensors", "weights.safetensors.part", "manifest.json.part"):
        (tmp_path / name).write_text("half")
    load_artefact(save(trained, tmp_path))
    assert sorted(contents(tmp_path)) == ["manifest.json", "weights.safetensors"]


def test_a_disk_that_is_full_leaves_nothing_of_a_first_saving(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtefactError, match=r"weights.safetensors: cannot be written: No space left on device"):
        save(trained, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_saving_waits_for_another_process_that_saves_into_the_same_folder(
    trained: Trained, other: Trained, folder: Path
) -> None:
    fcntl = pytest.importorskip("fcntl")
    elsewhere = os.open(folder, os.O_RDONLY)
    fcntl.flock(elsewhere, fcntl.LOCK_EX)
    saving = threading.Thread(target=save, args=(other, folder), kwargs={"seed": 8})
    saving.start()
    saving.join(0.2)
    before = read_manifest(folder)["seed"]
    os.close(elsewhere)
    saving.join()
    assert (before, read_manifest(folder)["seed"]) == (7, 8)


def test_the_manifest_can_be_read_alone(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    assert read_manifest(folder)["classifier"] == "linear"
