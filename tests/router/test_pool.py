from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from penstock.backends import BackendSpec, Completion, Limits, Query, Usage
from penstock.classifiers import ConfidenceModel, Estimates, Neighbour, PriorModel, QueryModel, Trained, no_escalation
from penstock.router import NoFeasibleBackend, Outcome, Policy, Pool
from penstock.router.cascade import Flow

from .pieces import estimates, price, spec

TEXT = "What is 17 * 23?"
NAN = float("nan")


@dataclass(frozen=True)
class KnownModel:
    """Stands in for a trained model: says the same of every query."""

    expected: Estimates
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends it was trained on."""
        return self.expected.backends

    def estimate(self, text: str) -> Estimates:
        """Returns what is known."""
        return self.expected

    def estimate_all(self, texts: Sequence[str]) -> list[Estimates]:
        """Returns what is known, once a text."""
        return [self.expected for _ in texts]

    def nearest(self, text: str, *, n: int) -> list[Neighbour]:
        """Returns the first neighbours."""
        return list(self.neighbours[:n])


@dataclass(frozen=True)
class LengthConfidence:
    """Stands in for a confidence model: trusts short answers, more so from who is estimated better."""

    def confidence(
        self, query: Query, completion: Completion, *, backend: str, estimate: float, run_code: bool = False
    ) -> float:
        """Returns the estimate divided by the words of the answer."""
        return estimate / len(completion.text.split())


LEARNED = estimates([0.4, 0.6, 0.8], [0.001, 0.01, 0.1], backends=["small", "mid", "lrm"])
LOADING = np.array([1.0, 2.0, 3.0])
POWER = np.array([0.1, 0.2, 0.3])


def trained(
    expected: Estimates = LEARNED, *, neighbours: tuple[Neighbour, ...] = (), has_confidence: bool = True
) -> Trained:
    """Returns an artefact that knows `expected`."""
    return Trained(
        model=cast(QueryModel, KnownModel(expected, neighbours)),
        confidence=cast(ConfidenceModel, LengthConfidence()) if has_confidence else None,
        escalation=replace(no_escalation(3), loading=LOADING, power=POWER),
    )


def specs(*names: str, **prices: tuple[float, float]) -> dict[str, BackendSpec]:
    """Returns fake backends in this order; `prices` per million tokens, in and out."""
    return {name: spec(name, price=price(*prices[name]) if name in prices else None) for name in names}


def assert_same(values: NDArray[np.float64], expected: ArrayLike) -> None:
    """Compares arrays in which NaN equals NaN."""
    wanted = np.asarray(expected, dtype=np.float64)
    assert values.shape == wanted.shape
    assert values.ravel().tolist() == pytest.approx(wanted.ravel().tolist(), nan_ok=True)


def finished(flow: Flow, answer: Completion) -> Outcome:
    """Returns how a cascade ends that gets the same answer from everybody."""
    while True:
        try:
            flow.send(answer)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


# Columns


def test_without_models_yaml_the_backends_are_those_of_the_artefact() -> None:
    pool = Pool({}, trained())
    assert pool.backends == ("small", "mid", "lrm")
    assert pool.estimate(TEXT) is LEARNED
    assert pool.untrained == ()


def test_how_far_cost_and_latency_reach_follows_models_yaml_too() -> None:
    tails = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    pool = Pool(specs("lrm", "unknown", "mid"), trained(replace(LEARNED, tails=tails)))
    found = pool.estimate(TEXT).tails
    assert found is not None
    assert_same(found, [[3.0, NAN, 2.0], [6.0, NAN, 5.0]])


def test_columns_follow_models_yaml_where_it_orders_backends_otherwise() -> None:
    pool = Pool(specs("lrm", "small", "mid"), trained())
    found = pool.estimate(TEXT)
    assert found.backends == ("lrm", "small", "mid")
    assert_same(found.quality, [0.8, 0.4, 0.6])
    assert_same(found.cost_usd, [0.1, 0.001, 0.01])
    assert_same(pool.escalation.power, [0.3, 0.1, 0.2])
    assert_same(pool.escalation.loading, [3, 1, 2])


def test_backends_of_the_artefact_that_models_yaml_does_not_name_are_left_out() -> None:
    pool = Pool(specs("lrm", "small"), trained())
    found = pool.estimate(TEXT)
    assert found.backends == pool.backends == ("lrm", "small")
    assert_same(found.quality, [0.8, 0.4])
    assert found.difficulty == LEARNED.difficulty
    assert_same(pool.escalation.loading, [3, 1])


def test_backends_that_the_artefact_does_not_know_are_guessed_from_tier_and_price() -> None:
    new = spec("new", tier="lrm", price=price(1, 4))
    pool = Pool({"new": new, **specs("mid")}, trained())
    guess = PriorModel(specs=(new,)).estimate(TEXT)
    found = pool.estimate(TEXT)
    assert pool.untrained == ("new",)
    assert_same(found.quality, [guess.quality[0], 0.6])
    assert_same(found.output_tokens, [guess.output_tokens[0], 100])
    assert_same(found.latency_s, [guess.latency_s[0], 1.0])
    assert found.source == "trained"


def test_an_answer_of_a_backend_that_the_artefact_does_not_know_cannot_be_checked() -> None:
    pool = Pool(specs("new", "mid"), trained())
    assert_same(pool.escalation.power, [0, 0.2])
    assert_same(pool.escalation.loading, [no_escalation(1).loading[0], 2])


def test_an_artefact_that_knows_nobody_of_models_yaml_is_a_cold_start() -> None:
    pool = Pool(specs("new"), trained())
    assert pool.estimate(TEXT).source == "cold start"


def test_estimates_of_many_queries_are_those_of_each() -> None:
    pool = Pool(specs("lrm", "new", mid=(1, 2)), trained())
    one, two = pool.estimate_all([TEXT, TEXT])
    alone = pool.estimate(TEXT)
    for found in (one, two):
        assert found.backends == alone.backends
        assert_same(found.quality, alone.quality.tolist())
        assert_same(found.cost_usd, alone.cost_usd.tolist())


# Prices


def test_the_price_of_models_yaml_times_expected_tokens_replaces_the_learned_cost() -> None:
    pool = Pool(specs("small", "mid", "lrm", lrm=(2, 8)), trained())
    # 10 tokens in at 2 USD, 100 out at 8 USD, per million
    assert_same(pool.estimate(TEXT).cost_usd, [0.001, 0.01, 820e-6])


def test_a_price_of_zero_replaces_the_learned_cost_too() -> None:
    assert_same(Pool(specs("small", small=(0, 0)), trained()).estimate(TEXT).cost_usd, [0.0])


def test_where_no_tokens_are_known_the_learned_cost_stays() -> None:
    expected = estimates([0.4, 0.6, 0.8], [0.001, 0.01, 0.1], backends=["small", "mid", "lrm"])
    expected.output_tokens[2] = NAN
    pool = Pool(specs("small", "mid", "lrm", lrm=(2, 8)), trained(expected))
    assert_same(pool.estimate(TEXT).cost_usd, [0.001, 0.01, 0.1])


def test_where_neither_price_nor_cost_is_known_the_cost_is_unknown() -> None:
    expected = estimates([0.4, 0.6, 0.8], [NAN, 0.01, 0.1], backends=["small", "mid", "lrm"])
    assert_same(Pool(specs("small", "mid"), trained(expected)).estimate(TEXT).cost_usd, [NAN, 0.01])


def test_the_learned_estimates_are_not_written_to() -> None:
    Pool(specs("lrm", "small", "new", lrm=(2, 8)), trained()).estimate(TEXT)
    assert_same(LEARNED.cost_usd, [0.001, 0.01, 0.1])
    assert_same(LEARNED.quality, [0.4, 0.6, 0.8])


@pytest.mark.parametrize(
    ("answer", "cost"),
    [
        (Completion(text="", usage=Usage(input_tokens=1000, output_tokens=500)), 0.006),
        (Completion(text="", usage=Usage(input_tokens=1000, output_tokens=500), cost_usd=0.5), 0.5),
        (Completion(text="", usage=Usage(input_tokens=1000, output_tokens=500), cost_usd=0.0), 0.0),
    ],
)
def test_a_call_is_charged_what_it_says_or_else_by_its_price(answer: Completion, cost: float) -> None:
    assert Pool(specs("lrm", lrm=(2, 8)), None).charge("lrm", answer) == pytest.approx(cost)


def test_a_call_without_any_price_is_charged_nothing() -> None:
    answer = Completion(text="", usage=Usage(input_tokens=1000, output_tokens=500))
    assert Pool(specs("lrm"), None).charge("lrm", answer) == 0.0
    assert Pool({}, trained()).charge("lrm", answer) == 0.0


# The cold start

SMALL_AND_LRM = {
    "small": spec("small", tier="small", price=price(0.1, 0.4)),
    "lrm": spec("lrm", tier="lrm", price=price(1, 4)),
}


def test_without_an_artefact_quality_follows_the_tier_and_cost_the_price() -> None:
    pool = Pool(
        {
            "small": spec("small", tier="small", price=price(0.1, 0.4)),
            "lrm@high": spec("lrm@high", tier="lrm", effort="high", price=price(1, 4)),
            "lrm@low": spec("lrm@low", tier="lrm", effort="low", price=price(1, 4)),
        },
        None,
    )
    found = pool.estimate(TEXT)
    assert found.source == "cold start"
    assert found.quality[0] < found.quality[2] < found.quality[1]
    assert found.cost_usd[0] < found.cost_usd[2] < found.cost_usd[1]
    assert pool.untrained == pool.backends
    assert pool.nearest(TEXT) == ()
    assert [one.source for one in pool.estimate_all([TEXT])] == ["cold start"]


def test_without_an_artefact_answers_are_judged_by_what_public_ones_show() -> None:
    pool, query = Pool(specs("small"), None), Query.from_text("What is 17 * 23 + 4?")
    sound, slipped, wordy = (
        pool.confidence(query, Completion(text=text), backend="small", estimate=0.55)
        for text in ("17 * 23 = 391, 391 + 4 = 395", "17 * 23 = 401, 401 + 4 = 405", "Nobody knows.")
    )
    assert slipped < sound
    assert wordy == 0.55


def test_without_an_artefact_a_doubtful_answer_is_asked_again_and_the_first_call_is_that_of_plain_routing() -> None:
    pool, policy = Pool(SMALL_AND_LRM, None), Policy(name="auto", lam=30)
    query = Query.from_text("What is 17 * 23 + 4?")
    decision = pool.decide(query, policy)
    assert decision.backend == pool.decide(query, replace(policy, max_calls=1)).backend == "small"
    flow = pool.flow(query, decision)
    assert next(flow).backend == "small"
    slip = "17 * 23 = 401. 401 + 4 = 406. 406 / 7 = 51. The answer is 51.3."
    assert flow.send(Completion(text=slip)).backend == "lrm"
    flow = pool.flow(query, decision)
    next(flow)
    with pytest.raises(StopIteration):
        flow.send(Completion(text="17 * 23 + 4 = 395"))


@pytest.mark.parametrize(
    ("question", "params", "is_held"),
    [
        ("What is 17 * 23 + 4?", {}, True),
        ("Why is the sky blue?", {}, False),
        ("What is wrong in line 12?", {"tools": [{"type": "function", "function": {"name": "read"}}]}, False),
    ],
)
def test_without_an_artefact_a_stream_is_held_only_where_its_answer_may_be_judged(
    question: str, params: dict[str, object], is_held: bool
) -> None:
    pool, query = Pool(SMALL_AND_LRM, None), Query.from_messages([{"role": "user", "content": question}], params=params)
    decision = pool.decide(query, Policy(name="auto", lam=30))
    assert next(pool.flow(query, decision)).is_kept(0.0) is not is_held


@pytest.mark.parametrize(
    ("question", "policy", "is_told"),
    [
        ("What is 17 * 23 + 4?", Policy(name="auto"), True),
        ("Why is the sky blue?", Policy(name="auto"), False),
        ("What is 17 * 23 + 4?", Policy(name="small", allow=("small",), max_calls=1), False),
    ],
)
def test_a_cold_start_tells_of_the_check_only_where_there_is_one(question: str, policy: Policy, is_told: bool) -> None:
    pool, query = Pool(SMALL_AND_LRM, None), Query.from_text(question)
    told = pool.decide(query, policy, pool.estimate_query(query)).explain()
    assert "cold start: no traces of these backends yet" in told
    assert ("judged by what public answers show" in told) is is_told


def test_an_artefact_that_knows_none_of_the_backends_tells_of_no_check_by_public_answers() -> None:
    others = trained(replace(LEARNED, backends=("a", "b", "c")))
    made = Pool(SMALL_AND_LRM, others).decide(Query.from_text("What is 17 * 23 + 4?"), Policy(name="auto"))
    assert "cold start: no traces of these backends yet" in made.explain()
    assert "judged" not in made.explain()


# Neighbours, confidence, decisions


def test_neighbours_have_a_column_a_backend_of_the_pool() -> None:
    neighbour = Neighbour(query="2 + 2?", similarity=0.5, quality=np.array([0.1, 0.2, 0.3]))
    pool = Pool(specs("lrm", "new", "small"), trained(neighbours=(neighbour, neighbour)))
    (found,) = pool.nearest(TEXT, n=1)
    assert (found.query, found.similarity) == ("2 + 2?", 0.5)
    assert_same(found.quality, [0.3, NAN, 0.1])


def test_an_artefact_that_learned_nothing_of_answers_judges_them_as_the_cold_start_does() -> None:
    pool, cold, query = Pool({}, trained(has_confidence=False)), Pool(SMALL_AND_LRM, None), Query.from_text("17 * 23?")
    for text, is_number in (("17 * 23 = 391", True), ("17 * 23 = 401", True), ("Nobody knows.", False)):
        told, expected = (
            each.confidence(query, Completion(text=text), backend="small", estimate=0.7) for each in (pool, cold)
        )
        assert told == expected
        assert (told != 0.7) is is_number


def test_nothing_is_planned_on_what_public_answers_show() -> None:
    pool, learned = Pool({}, trained(has_confidence=False)), Pool({}, trained())
    policy, query = Policy(name="auto", lam=1e-3), Query.from_text("What is 17 * 23 + 4?")
    assert not pool.escalation.is_planned
    assert_same(pool.escalation.loading, learned.escalation.loading)
    assert pool.decide(query, policy).backend == pool.decide(query, replace(policy, max_calls=1)).backend


def test_an_answer_that_cannot_be_judged_is_not_held_back_with_an_artefact_that_learned_nothing_of_answers() -> None:
    pool = Pool({}, trained(has_confidence=False))
    assert not pool.escalation_for(Query.from_text("Who wrote Faust?")).power.any()
    assert pool.escalation_for(Query.from_text("What is 17 * 23 + 4?")).power.any()


@pytest.mark.parametrize("has_confidence", [True, False])
def test_a_decision_tells_where_answers_are_judged_by_public_ones(has_confidence: bool) -> None:
    pool = Pool({}, trained(has_confidence=has_confidence))
    told = pool.decide(Query.from_text("What is 17 * 23 + 4?"), Policy(name="auto")).explain()
    assert ("judged by what public answers show" in told) is not has_confidence


def test_a_decision_counts_on_noticing_slips_where_the_right_answer_can_be_worked_out() -> None:
    learned = trained()
    known = replace(learned.escalation, power_workable=np.array([0.7, 0.8, 0.9]))
    pool = Pool(specs("lrm", "small"), replace(learned, escalation=known))
    for text, power in (("What is 17 * 23?", [0.9, 0.7]), ("Who wrote Faust?", [0.3, 0.1])):
        assert_same(pool.decide(Query.from_text(text), Policy(name="auto")).outlook.escalation.power, power)


def test_the_flow_judges_each_answer_by_the_estimate_of_its_backend() -> None:
    pool, query = Pool(specs("lrm", "small", "mid"), trained()), Query.from_text(TEXT)
    for place, name in enumerate(pool.backends):
        made = pool.decide(query, Policy(name="p", allow=(name,)))
        flow = pool.flow(query, made)
        assert next(flow).backend == name
        outcome = finished(flow, Completion(text="one two", cost_usd=0.25))
        assert outcome.step.confidence == pytest.approx(made.estimates.quality[place] / 2)
        assert outcome.cost_usd == 0.25


def test_an_answer_to_an_unfamiliar_query_is_judged_from_the_mean_score() -> None:
    strange = replace(LEARNED, how_familiar=lambda: 0.01, mean_quality=np.array([0.3, 0.5, 0.7]))
    pool, query = Pool({}, trained(strange)), Query.from_text(TEXT)
    for when_unsure, confidence in ((None, 0.4), ("cheap", 0.3)):
        made = pool.decide(query, Policy(name="p", lam=1e6, when_unsure=when_unsure))
        flow = pool.flow(query, made)
        assert next(flow).backend == "small"
        assert finished(flow, Completion(text="one")).step.confidence == pytest.approx(confidence)


def test_a_given_assessment_stands_in_for_the_confidence() -> None:
    pool, query = Pool({}, trained()), Query.from_text(TEXT)
    flow = pool.flow(query, pool.decide(query, Policy(name="p")), assess=lambda *_: 1.0)
    next(flow)
    assert finished(flow, Completion(text="a b c")).step.confidence == 1.0


def test_given_estimates_are_taken_for_the_decision() -> None:
    pool, query = Pool({}, trained()), Query.from_text(TEXT)
    assert pool.decide(query, Policy(name="p", lam=0)).backend == "lrm"
    known = estimates([0.9, 0.6, 0.8], [0.001, 0.01, 0.1])
    assert pool.decide(query, Policy(name="p", lam=0), known).backend == "small"


def test_a_policy_that_leaves_nobody_is_told_by_the_pool() -> None:
    pool = Pool({}, trained())
    with pytest.raises(NoFeasibleBackend, match=r"small: estimated quality 0\.40 is below min_quality 0\.9"):
        pool.decide(Query.from_text(TEXT), Policy(name="p", min_quality=0.9))


# Conversations


def test_a_conversation_is_judged_by_its_question_and_paid_for_as_a_whole() -> None:
    pool = Pool(specs("small", small=(1e6, 0)), None)
    question = "Prove that there are infinitely many primes. " * 3
    said = [("user", question), ("assistant", "Euclid. " * 1000), ("user", "ok, go on")]
    query = Query.from_messages([{"role": role, "content": text} for role, text in said])
    (one,) = pool.estimate_queries([query])
    alone = pool.estimate(f"{question}\nok, go on")
    assert one.input_tokens == pytest.approx(len(query.text) / 4, rel=0.05)
    assert one.cost_usd[0] - alone.cost_usd[0] == pytest.approx(one.input_tokens - alone.input_tokens)
    assert one.quality == alone.quality
    assert_same(pool.estimate_query(query).cost_usd, one.cost_usd)


TOOLS = [
    {"type": "function", "function": {"name": f"tool_{n}", "description": "Does a thing. " * 50, "parameters": {}}}
    for n in range(20)
]
CALL = {"id": "1", "type": "function", "function": {"name": "write", "arguments": '{"text": "' + "word " * 3000 + '"}'}}
BESIDE_TEXT: dict[str, dict[str, Any]] = {
    "tools": {"params": {"tools": TOOLS}},
    "a schema": {"params": {"response_format": {"type": "json_schema", "json_schema": {"schema": TOOLS}}}},
    "calls": {"calls": [CALL]},
    "images": {"content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}] * 5},
}


@pytest.mark.parametrize("name", sorted(BESIDE_TEXT))
def test_what_a_prompt_holds_beside_text_is_paid_for_and_has_to_fit(name: str) -> None:
    beside = BESIDE_TEXT[name]
    asked = {"role": "user", "content": [{"type": "text", "text": TEXT}, *beside.get("content", ())]}
    messages = [asked, {"role": "assistant", "content": "", "tool_calls": beside.get("calls")}, asked]
    plain = Query.from_messages([{"role": "user", "content": TEXT}, {"role": "assistant", "content": ""}] * 2)
    query = Query.from_messages(messages, params=beside.get("params"))
    known = specs("small", "large", small=(1e6, 0), large=(2e6, 0))
    known["small"] = replace(known["small"], limits=Limits(context_tokens=2000))
    pool = Pool(known, None)
    more = pool.estimate_query(query).input_tokens - pool.estimate_query(plain).input_tokens
    assert more > 3000
    gap = pool.estimate_query(query).cost_usd - pool.estimate_query(plain).cost_usd
    assert gap.tolist() == pytest.approx([more, 2 * more])
    decision = pool.decide(query, Policy(name="p"))
    assert decision.backend == "large"
    assert "do not fit its context of 2000" in decision.excluded["small"]
    with pytest.raises(NoFeasibleBackend, match="do not fit its context of 2000"):
        pool.decide(query, Policy(name="small", allow=("small",)))


def test_without_a_price_a_long_conversation_costs_what_is_known() -> None:
    pool = Pool({}, trained())
    said = [("user", TEXT), ("assistant", "It is 391. " * 100), ("user", "ok")]
    query = Query.from_messages([{"role": role, "content": text} for role, text in said])
    assert_same(pool.estimate_query(query).cost_usd, LEARNED.cost_usd)
