"""`penstock collect --drafts`: recorded answers given to be checked, each once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from penstock.router.cli import main
from penstock.training import build_dataset, read_traces

from ..backends.loopback import Asked, Canned, Loopback
from .collecting import completion_of, lines_of, sums, write_rows

MODELS = """\
backends:
  seven: {{type: fake, answer: It is 7., price: {{input: 1, output: 1}}}}
  nine: {{type: fake, answer: "9", price: {{input: 10, output: 10}}}}
  large:
    type: openai
    model: large
    base_url: "{url}"
    style: check_draft
    price: {{input: 20, output: 20}}
"""


class Checker:
    """A server that repeats whatever draft it is given but for one, and keeps the texts it was asked."""

    def __init__(self, refused: str = "") -> None:
        self.texts: list[str] = []
        self.refused = refused

    def __call__(self, asked: Asked) -> Canned:
        text = asked.json["messages"][-1]["content"]
        self.texts.append(text)
        if self.refused and self.refused in text:
            return Canned(status=400)
        return completion_of(text.partition("<draft>\n")[2].partition("\n</draft>")[0])


def collect(folder: Path, *words: str, checker: Checker | None = None) -> int:
    write_rows(folder / "prompts.jsonl", sums(3))

    async def run() -> int:
        async with Loopback(checker or Checker()) as server:
            (folder / "models.yaml").write_text(MODELS.format(url=server.url))
            files = {"--models": "models.yaml", "--out": "traces.jsonl"}
            named = [word for option, name in files.items() for word in (option, str(folder / name))]
            return await asyncio.to_thread(main, ["collect", str(folder / "prompts.jsonl"), *named, "--quiet", *words])

    return asyncio.run(run())


def test_without_drafts_those_who_check_them_are_not_asked(tmp_path: Path) -> None:
    assert collect(tmp_path) == 0
    assert {row["backend"] for row in lines_of(tmp_path / "traces.jsonl")} == {"seven", "nine"}


def test_every_recorded_answer_is_checked_once(tmp_path: Path) -> None:
    checker = Checker()
    assert collect(tmp_path) == 0
    assert collect(tmp_path, "--drafts", "seven", checker=checker) == 0
    assert collect(tmp_path, "--drafts", "seven,nine,nine", checker=checker) == 0
    assert len(checker.texts) == 6
    assert all("What is" in text and "Draft of the answer, to be checked" in text for text in checker.texts)
    found = [row for row in lines_of(tmp_path / "traces.jsonl") if row["backend"] == "large"]
    # Several are asked at once, so that they come in any order.
    assert sorted((row.get("draw", 0), row["query_id"], row["draft_of"], row["response"]) for row in found) == [
        (0, "q0", "seven", "It is 7."),
        (0, "q1", "seven", "It is 7."),
        (0, "q2", "seven", "It is 7."),
        (1, "q0", "nine", "9"),
        (1, "q1", "nine", "9"),
        (1, "q2", "nine", "9"),
    ]
    dataset = build_dataset(read_traces([tmp_path / "traces.jsonl"]))
    assert dataset.backends == ("nine", "seven")
    scores = {
        query_id: {row.draft_of: row.score for row in checks}
        for query_id, checks in zip(dataset.query_ids, dataset.checks, strict=True)
    }
    assert scores == {
        "q0": {"seven": 1, "nine": 0},
        "q1": {"seven": 0, "nine": 1},
        "q2": {"seven": 0, "nine": 0},
    }


def test_a_check_that_failed_is_made_up_for_under_a_draw_of_its_own(tmp_path: Path) -> None:
    assert collect(tmp_path) == 0
    collect(tmp_path, "--drafts", "seven,nine", checker=Checker(refused="It is 7."))
    assert collect(tmp_path, "--drafts", "seven,nine") == 0
    checks = [row for row in read_traces([tmp_path / "traces.jsonl"]).rows if row.backend == "large"]
    assert sorted((row.query_id, row.draw, row.draft_of) for row in checks) == [
        (query_id, draw, drafter) for query_id in ("q0", "q1", "q2") for draw, drafter in enumerate(("seven", "nine"))
    ]


def test_answers_that_are_not_there_cannot_be_checked_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(tmp_path, "--drafts", "seven") == 0
    assert "nothing to check: --out holds no answer of these backends" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--drafts", "large"), "--drafts: 'large' has no answers to check; expected some of seven, nine"),
        (("--backends", "large"), "--backends: large needs --drafts A,B; expected some of seven, nine"),
        (("--drafts", "nine", "--backends", "seven"), "--backends: seven checks no drafts"),
    ],
)
def test_wrong_words_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert collect(tmp_path, *words) == 1
    assert said in capsys.readouterr().err
