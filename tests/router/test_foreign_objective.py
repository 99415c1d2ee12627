"""Objectives of third parties that break the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.backends import ConfigError, PenstockError
from penstock.router import Router

CLASS = """
class Mine:
    def __init__(self{arguments}):
        pass
    def start(self, outlook, policy):
        {start}
    def escalate(self, outlook, policy, tried):
        {escalate}
"""
Make = Callable[..., Router]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Make:
    """Returns the router of a policy whose objective behaves as given."""
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"objective_{abs(hash(request.node.name))}"

    def build(
        policy: str = "", *, arguments: str = "", start: str = "return 0", escalate: str = "return None"
    ) -> Router:
        (tmp_path / f"{name}.py").write_text(CLASS.format(arguments=arguments, start=start, escalate=escalate))
        (tmp_path / "models.yaml").write_text(
            f"policies:\n  mine: {{objective: '{name}:Mine'{policy}}}\n"
            "backends:\n"
            f"  one: {{type: fake, answer: {'word ' * 600}, price: {{input: 1, output: 1}}}}\n"
            "  two: {type: fake, answer: B, price: {input: 1, output: 1}}\n"
            "  three: {type: fake, answer: C, price: {input: 1, output: 1}}\n"
        )
        router = Router.from_config(tmp_path / "models.yaml")
        request.addfinalizer(router.close)
        return router

    return build


@pytest.mark.parametrize("said", ["3", "-1", "None", "0.0", "'one'"])
def test_a_start_at_no_place_is_told(make: Make, said: str) -> None:
    with pytest.raises(PenstockError, match=rf"Mine: start\(\) returned {said}; expected a place from 0 to 2$"):
        make(start=f"return {said}").ask("?")


@pytest.mark.parametrize("said", ["3", "-1", "0.0"])
def test_an_escalation_to_no_place_is_told(make: Make, said: str) -> None:
    with pytest.raises(PenstockError, match=rf"Mine: escalate\(\) returned {said}; expected a place from 0 to 2$"):
        make(escalate=f"return {said}").ask("?")


def test_what_was_tried_is_not_asked_for_ever(make: Make) -> None:
    with pytest.raises(
        PenstockError, match=r"escalate\(\) returned 0, which was tried; expected another place, or None"
    ):
        make(escalate="return 0").ask("?")


def test_a_limit_of_the_policy_stops_it(make: Make) -> None:
    onwards = "return len(tried) if len(tried) < 3 else None"
    assert make(escalate=onwards).ask("?").path == "one>two>three"
    assert make(", max_calls: 2", escalate=onwards).ask("?").path == "one>two"
    assert make(", max_cost_usd: 0.0008", escalate=onwards).ask("?").path == "one"


@pytest.mark.parametrize("method", ["start", "escalate"])
def test_a_bug_is_told_with_whose_it_is(make: Make, method: str) -> None:
    with pytest.raises(PenstockError, match=rf"^objective objective_\d+:Mine: {method}\(\) raised KeyError: 'x'$"):
        make(**{method: "return {}['x']"}).ask("?")


@pytest.mark.parametrize("method", ["start", "escalate"])
def test_leaving_the_program_is_told_with_whose_it_is(make: Make, method: str) -> None:
    with pytest.raises(PenstockError, match=rf"^objective objective_\d+:Mine: {method}\(\) raised SystemExit: no$"):
        make(**{method: "raise SystemExit('no')"}).ask("?")


def test_one_that_wants_arguments_is_an_error_of_the_configuration(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"Mine cannot be made without arguments: TypeError: "):
        make(arguments=", more").ask("?")
