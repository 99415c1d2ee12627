"""The red team: attacks that change words only, gadgets that work, and what the defence does about them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import Query
from penstock.classifiers import save_artefact
from penstock.router import Policy, Pool
from penstock.router.cli import main
from penstock.training.attacks import ATTACKS
from penstock.training.gadgets import find_gadget
from penstock.training.progress import Silent
from penstock.training.red_team import RedTeam, attacked

TEXT = "Which of the following is the largest number: 17 * 23, 400 or the total of 1 to 28?"


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_changes_the_words_and_keeps_the_numbers(name: str) -> None:
    text = ATTACKS[name](10 * TEXT, random.Random(0))
    assert text != 10 * TEXT
    for number in ("17", "23", "400", "28"):
        assert number in text


def test_an_attack_is_on_what_the_user_said_last() -> None:
    said = [("system", "Add."), ("user", "one"), ("assistant", "two"), ("user", "three")]
    query = Query.from_messages([{"role": role, "content": text} for role, text in said])
    hit = attacked(query, lambda text, _: text.upper(), random.Random(0))
    assert [message["content"] for message in hit.messages] == ["Add.", "one", "two", "THREE"]


def test_a_gadget_is_made_of_the_words_that_work() -> None:
    def worth(texts):  # type: ignore[no-untyped-def]
        return np.array([float(text.split()[:10].count("magic")) for text in texts])

    vocabulary = [f"w{place}" for place in range(8)] + ["magic"]
    gadget = find_gadget(worth, ["a b c", "d e f"], vocabulary, is_prefix=True, seed=0, progress=Silent(), n_rounds=80)
    assert gadget.words.split() == ["magic"] * 10
    assert gadget("a b c", random.Random(0)) == f"{gadget.words} a b c"


def test_nothing_happens_where_nothing_is_changed(demo) -> None:  # type: ignore[no-untyped-def]
    team = RedTeam(Pool({}, demo.fitted.trained), demo.test, Policy(name="auto"))
    damage = team.damage("none", lambda text, _: text)
    assert (damage.flips.value, damage.cost.value, damage.score.value) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize("name", ["white space", "zero width", "look-alikes", "small letters", "capitals"])
def test_spelling_alone_flips_no_decision(demo, name: str) -> None:  # type: ignore[no-untyped-def]
    team = RedTeam(Pool({}, demo.fitted.trained), demo.test, Policy(name="auto"))
    assert team.damage(name, ATTACKS[name]).flips.value == 0.0


def test_the_command_tells_what_every_attack_does(demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "artefact"
    save_artefact(demo.fitted.trained, folder, training_data_sha256="0" * 64, seed=0, metrics={})
    words = ["redteam", str(folder), str(demo.traces), "--n", "12", "--rounds", "2", "--quiet"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "when nobody attacks" in told
    assert all(name in told for name in (*ATTACKS, "gadget before", "gadget after"))
    assert main([*words, "--robust", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["robust"] is True
    assert found["n_queries"] == 12
    assert [one["attack"] for one in found["attacks"]] == [*ATTACKS, "gadget before", "gadget after"]
    assert all(one["cost"]["low"] <= one["cost"]["high"] for one in found["attacks"])


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--rounds", "-1"], "--rounds: expected a number of 0"), (["--policy", "x"], "--policy: unknown 'x'")],
)
def test_wrong_use_is_told(
    demo,
    tmp_path: Path,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],  # type: ignore[no-untyped-def]
) -> None:
    save_artefact(demo.fitted.trained, tmp_path / "a", training_data_sha256="0" * 64, seed=0, metrics={})
    assert main(["redteam", str(tmp_path / "a"), str(demo.traces), *words]) == 1
    assert said in capsys.readouterr().err
