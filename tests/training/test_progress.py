"""What long work shows of how far it has come."""

from __future__ import annotations

import io

import pytest

from penstock.classifiers.telling import tell
from penstock.training.progress import Shown, quiet_or_shown


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_log_has_a_line_a_stage_and_a_note_every_few_seconds() -> None:
    log, clock = io.StringIO(), _Clock()
    shown = Shown(log, clock=clock)
    shown.stage("fitting classifier blend")
    for second in range(14):
        clock.now_s = second
        shown.note(f"tree {second} of 200")
    assert log.getvalue().splitlines() == [
        "[   0.0 s] fitting classifier blend",
        "[   6.0 s]   tree 6 of 200",
        "[  12.0 s]   tree 12 of 200",
    ]


def test_a_note_on_a_terminal_gives_way_to_the_next_stage() -> None:
    terminal, clock = _Terminal(), _Clock()
    shown = Shown(terminal, clock=clock)
    for second, note in ((1, "a long note"), (2, "a note")):
        clock.now_s = second
        shown.note(note)
    shown.stage("next")
    assert _seen(terminal.getvalue()) == ["[   2.0 s] next", ""]


def test_a_note_on_a_terminal_stands_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal, clock = _Terminal(), _Clock()
    shown = Shown(terminal, clock=clock)
    clock.now_s = 1
    shown.note("long " * 20)
    assert len(terminal.getvalue().removeprefix("\r")) == 29


def test_what_is_told_inside_a_command_is_shown_and_taken_away_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("penstock.training.progress._IN_PLACE_EVERY_S", -1.0)
    with pytest.raises(KeyboardInterrupt):
        _interrupted_work(terminal)
    assert _seen(terminal.getvalue()) == [""]


def test_a_quiet_command_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet_or_shown(quiet=True) as progress:
        progress.stage("reading")
        tell("fold 1 of 5")
    assert capsys.readouterr().err == ""


def _interrupted_work(terminal: io.StringIO) -> None:
    with quiet_or_shown(quiet=False):
        tell("fold 1 of 5")
        assert _seen(terminal.getvalue())[0].endswith("fold 1 of 5")
        raise KeyboardInterrupt


def _seen(written: str) -> list[str]:
    """Returns the lines as a terminal would show them, where a carriage return goes back to the begin of its line."""
    lines = []
    for written_line in written.split("\n"):
        line = ""
        for part in written_line.split("\r"):
            line = part + line[len(part) :]
        lines.append(line.rstrip())
    return lines
