"""A backend that is asked for by name: nothing is estimated but its price, and its answer is not judged."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from penstock.backends import Completion, Query
from penstock.router import NoFeasibleBackend, Pool, Router, Wishes, read_config
from penstock.router.cli import main
from penstock.router.server import Sidecar

from .serving import HELLO, chat, make_router, write_models


class Strict(Pool):
    """A pool that may neither estimate nor judge."""

    def estimate_query(self, query: Query) -> object:  # type: ignore[override]  # it never returns
        """Refuses."""
        raise AssertionError("estimated")

    def confidence(self, query: Query, completion: Completion, *, backend: str, estimate: float) -> float:
        """Refuses."""
        raise AssertionError("judged")


def strict_router(folder: Path) -> Router:
    config = read_config(write_models(folder))
    return Router(config, Strict(config.backends, None))


def test_nothing_is_estimated_and_nothing_is_judged(tmp_path: Path) -> None:
    got = chat(Sidecar(strict_router(tmp_path)), model="lrm")
    assert got.status == 200
    assert got.json["penstock"]["reason"] == "asked for by name"
    assert got.json["penstock"]["quality"] is None
    assert got.json["penstock"]["confidence"] is None
    assert "x-penstock-quality" not in got.headers
    assert "x-penstock-confidence" not in got.headers


def test_the_price_is_expected_as_ever(tmp_path: Path) -> None:
    with make_router(tmp_path) as router:
        query = Query.from_messages(HELLO)
        expected = router.decide(query).estimates
        named = router.decide(query, "lrm").estimates
        assert named.backends == ("lrm",)
        assert named.cost_usd[0] == pytest.approx(expected.cost_usd[1])
        assert named.input_tokens == expected.input_tokens


@pytest.mark.parametrize("wish", [Wishes(min_quality=0.99), Wishes(max_cost_usd=1e-9), Wishes(max_latency_s=0.01)])
def test_wishes_about_what_is_expected_hold_all_the_same(tmp_path: Path, wish: Wishes) -> None:
    with make_router(tmp_path) as router, pytest.raises(NoFeasibleBackend):
        router.decide(Query.from_messages(HELLO), "lrm", wish)


def test_who_asks_for_the_reasons_is_told_all_estimates(tmp_path: Path) -> None:
    with make_router(tmp_path) as router:
        decision = router.route("What is 17 * 23?", policy="lrm")
        assert [row["backend"] for row in decision.as_dict()["estimates"]] == ["small", "lrm"]
        assert all(row["quality"] > 0 for row in decision.as_dict()["estimates"])


def test_the_story_of_an_answer_has_gaps_and_not_nonsense(tmp_path: Path) -> None:
    with make_router(tmp_path) as router:
        answer = router.ask("What is 17 * 23?", policy="lrm")
        assert math.isnan(answer.confidence)
        assert "nan" not in answer.decision.explain()
        assert "NaN" not in json.dumps(answer.as_dict())


def test_ask_on_the_command_line_leaves_the_confidence_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "What is 17 * 23?", "--policy", "lrm", "--models", str(write_models(tmp_path))]) == 0
    assert "[path lrm, cost $" in capsys.readouterr().err
