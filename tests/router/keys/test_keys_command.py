"""`penstock keys`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.router.cli import main
from penstock.router.keys import open_store

from ..serving import MODELS, write_models


class Shell:
    """Runs `penstock keys` over one models.yaml."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.models = write_models(folder, MODELS + "keys: {file: keys.db}\n")
        self._capsys = capsys
        self.error = ""

    def __call__(self, *words: str, code: int = 0) -> str:
        """Returns what it prints."""
        assert main(["keys", words[0], "--models", str(self.models), *words[1:]]) == code
        said, self.error = self._capsys.readouterr()
        return said

    def json(self, *words: str) -> Any:
        """Returns the JSON that it prints."""
        return json.loads(self(*words, "--json"))


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_create_prints_the_key_and_nothing_else_on_standard_output(shell: Shell) -> None:
    text = shell("create", "me").removesuffix("\n")
    assert shell.error == "penstock: this key is shown only now; only its hash is kept\n"
    store = open_store(shell.models.parent / "keys.db")
    (key,) = store.all_keys()
    store.close()
    assert key.is_held_by(text)
    assert key.name == "me"


def test_create_keeps_every_limit(shell: Shell) -> None:
    limits = ("--policies", "auto, best", "--backends", "small", "--rpm", "3", "--tpm", "4")
    made = shell.json("create", "me", *limits, "--budget-usd-day", "0.5", "--budget-usd-month", "7")
    assert made.pop("key").startswith(f"penstock_{made['id']}_")
    (listed,) = shell.json("list")["keys"]
    assert made == {name: value for name, value in listed.items() if not name.startswith("spent_")}
    assert (made["policies"], made["backends"], made["rpm"], made["tpm"]) == (["auto", "best"], ["small"], 3, 4)
    assert (made["budget_usd_day"], made["budget_usd_month"]) == (0.5, 7.0)
    assert (listed["spent_usd_day"], listed["spent_usd_month"]) == (0.0, 0.0)


def test_create_keeps_who_sees_all(shell: Shell) -> None:
    assert not shell.json("create", "me")["sees_all"]
    assert shell.json("create", "caretaker", "--sees-all")["sees_all"]
    assert shell("list").splitlines()[1].endswith("; sees all")


def test_list_shows_what_a_key_may_do_but_no_secret(shell: Shell) -> None:
    assert "penstock keys create NAME" in shell("list")
    text = shell("create", "me", "--backends", "small", "--rpm", "3", "--budget-usd-day", "0.5").strip()
    line = shell("list")
    assert "backends small; 3 requests a minute; spent $0.000000 of $0.5 today; spent $0.000000 this month" in line
    assert text.split("_", 2)[2] not in line + shell("list", "--json")


@pytest.mark.parametrize("by", ["name", "id"])
def test_revoke_ends_a_key_and_frees_its_name(shell: Shell, by: str) -> None:
    made = shell.json("create", "me")
    assert shell("revoke", made[by]) == f"revoked me ({made['id']})\n"
    assert "; revoked 20" in shell("list")
    shell("create", "me")
    assert [key["revoked_at"] is None for key in shell.json("list")["keys"]] == [False, True]


def test_revoke_prefers_the_name_to_another_keys_id(shell: Shell) -> None:
    first = shell.json("create", "first")
    other = shell.json("create", first["id"])
    assert shell("revoke", first["id"]) == f"revoked {first['id']} ({other['id']})\n"
    assert shell("revoke", first["id"]) == f"revoked first ({first['id']})\n"


def test_a_name_in_use_is_refused(shell: Shell) -> None:
    shell("create", "me")
    shell("create", "me", code=1)
    assert "a key named 'me' is there already; revoke it, or take another name" in shell.error


def test_revoking_what_is_not_there_is_refused(shell: Shell) -> None:
    shell("revoke", "me", code=1)
    assert "no key in use has the name or id 'me'" in shell.error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policies", "autos"], "--policies: unknown 'autos'; expected some of auto, best"),
        (["--backends", "auto"], "--backends: unknown 'auto'; expected some of small, lrm"),
    ],
)
def test_names_that_models_yaml_does_not_have_are_refused(shell: Shell, words: list[str], said: str) -> None:
    shell("create", "me", *words, code=1)
    assert said in shell.error


@pytest.mark.parametrize(
    "words",
    [["--rpm", "0"], ["--tpm", "x"], ["--budget-usd-day", "0"], ["--budget-usd-month", "nan"], ["--backends", ","]],
)
def test_limits_that_are_none_are_wrong_use(shell: Shell, words: list[str]) -> None:
    shell("create", "me", *words, code=2)
    assert f"argument {words[0]}: expected" in shell.error


def test_without_keys_in_models_yaml_it_says_what_to_add(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list", "--models", str(write_models(tmp_path))]) == 1
    assert "models.yaml: keys: missing; add `keys: {file: penstock-keys.db}`" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["create", "list", "revoke"])
def test_every_action_has_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", action, "--help"]) == 0
    assert f"example:\n  penstock keys {action}" in capsys.readouterr().out
