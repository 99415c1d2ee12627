from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.backends import Query
from penstock.router import NoFeasibleBackend, Router, Wishes, read_config
from penstock.router.floor import Floors
from penstock.router.keys import Key, MemoryStore, new_key
from penstock.router.server import Sidecar

from .pieces import write_models
from .serving import Got, chat
from .test_config import SMALL, refusal

BACKENDS = """
backends:
  small: {type: fake, tier: small, price: {input: 0.04, output: 0.10}}
  mid: {type: fake, tier: mid, price: {input: 1, output: 150}}
  lrm: {type: fake, tier: lrm, price: {input: 1, output: 200}}
"""
DOSES = "floor: [{name: doses, match: '(?i)\\b(overdose|mg/kg)\\b', tier: mid}]\n"
LEGAL = [
    "Can my landlord evict me without notice?",
    "Is a verbal contract binding in court?",
    "What are my rights if the police arrest me?",
    "Do I have to testify against my spouse in court?",
    "Can a company sue me for breach of contract?",
    "Is my tenancy agreement valid without a witness?",
]
OTHER = [
    "How do I boil an egg?",
    "Translate good morning into French.",
    "What is 17 * 23?",
    "Write a haiku about rain.",
    "Which planet is the largest?",
    "How many legs does a spider have?",
]


def router_of(folder: Path, rules: str) -> Router:
    """Returns a cold router over three tiers, of which `auto` asks `small`."""
    return Router.from_config(write_models(folder, rules + BACKENDS))


def lists(like: list[str], unlike: list[str], **more: Any) -> str:
    """Returns a rule by examples."""
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return f"floor: [{{name: legal, tier: lrm, like: {like}, unlike: {unlike}{extra}}}]\n"


def test_a_query_that_a_pattern_chooses_goes_no_lower(tmp_path: Path) -> None:
    with router_of(tmp_path, DOSES) as router:
        assert router.route("What is 17 * 23?").backend == "small"
        decision = router.route("Is 5 MG/KG an overdose?")
    assert decision.backend == "mid"
    assert decision.excluded == {"small": "tier small is below the floor mid of rule doses"}
    assert "below the floor mid of rule doses" in decision.explain()


def test_a_floor_once_reached_stays_for_the_conversation(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "Is this an overdose?"},
        {"role": "assistant", "content": "It may be."},
        {"role": "user", "content": "ok, go on"},
    ]
    with router_of(tmp_path, DOSES) as router:
        assert router.route(messages=messages).backend == "mid"


def test_no_wish_lowers_a_floor(tmp_path: Path) -> None:
    with router_of(tmp_path, DOSES) as router:
        with pytest.raises(NoFeasibleBackend, match="below the floor mid of rule doses"):
            router.route("Is this an overdose?", wishes=Wishes(allow=("small",)))
        with pytest.raises(NoFeasibleBackend, match="below the floor mid of rule doses"):
            router.route("Is this an overdose?", policy="small")
        assert router.route("Is this an overdose?", wishes=Wishes(floor="small")).backend == "mid"
        assert router.route("Is this an overdose?", wishes=Wishes(floor="lrm")).backend == "lrm"


def test_falling_back_stays_above_the_floor(tmp_path: Path) -> None:
    with router_of(tmp_path, DOSES) as router:
        decision = router.decide(Query.from_text("Is this an overdose?"))
    assert decision.outlook.backends == ("mid", "lrm")


def test_of_several_rules_the_highest_tier_counts(tmp_path: Path) -> None:
    rules = "floor: [{name: a, match: egg}, {name: b, match: boil, tier: mid}]\n"
    floors = read_config(write_models(tmp_path, rules + BACKENDS)).floors
    floor = floors.of_query(Query.from_text("How do I boil an egg?"))
    assert floor is not None
    assert (floor.tier, floor.rule) == ("lrm", "a")
    assert floors.of_query(Query.from_text("How do I fry a fish?")) is None


def test_without_rules_there_is_no_floor() -> None:
    assert Floors().of_query(Query.from_text("Is this an overdose?")) is None
    assert Floors().of_caller("clinic") is None


def test_a_classifier_learns_the_kind_from_examples(tmp_path: Path) -> None:
    with router_of(tmp_path, lists(LEGAL, OTHER)) as router:
        assert router.route("Can the court make me pay for a contract that I did not sign?").backend == "lrm"
        assert router.route("How do I bake a potato?").backend == "small"
        messages = [
            {"role": "user", "content": "Can my landlord take me to court for the rent?"},
            {"role": "assistant", "content": "That depends on your tenancy."},
            {"role": "user", "content": "How do I bake a potato?"},
        ]
        assert router.route(messages=messages).backend == "lrm"
    with router_of(tmp_path, lists(LEGAL, OTHER, above=1)) as router:
        assert router.route("Can the court make me pay for a contract that I did not sign?").backend == "small"


def test_examples_may_stand_in_files(tmp_path: Path) -> None:
    (tmp_path / "legal.txt").write_text("\n".join(LEGAL) + "\n\n")
    (tmp_path / "other.txt").write_text("\n".join(OTHER))
    with router_of(tmp_path, "floor: [{name: legal, like: legal.txt, unlike: other.txt}]\n") as router:
        assert router.route("Can the court make me pay for a contract that I did not sign?").backend == "lrm"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{match: a}", "floor[0]: name: missing; expected a text"),
        ("{name: a}", "floor[0]: expected exactly one of match, callers, like, got none"),
        ("{name: a, match: b, callers: [c]}", "floor[0]: expected exactly one of match, callers, like, got match, cal"),
        ("{name: a, match: '('}", "floor[0].match: no regular expression: missing ), unterminated subpattern"),
        ("{name: a, match: b, tier: huge}", "floor[0].tier: unknown 'huge'; expected one of small, mid, lrm"),
        ("{name: a, match: b, above: 0.3}", "floor[0].above: goes with `like` only"),
        ("{name: a, callers: []}", "floor[0].callers: names nobody"),
        ("{name: a, like: [a, b], unlike: [c]}", "floor[0].like: expected at least 5 texts, or a file with one a line"),
        ("{name: a, like: no.txt, unlike: no.txt}", "floor[0].like: "),
        ("{name: a, match: b, size: 3}", "floor[0].size: unknown key; expected one of name, tier, match"),
        ("3", "floor[0]: expected a mapping, got 3"),
    ],
)
def test_wrong_rules_are_told(tmp_path: Path, rule: str, said: str) -> None:
    told = refusal(tmp_path, f"floor: [{rule}]\nbackends: {{small: {SMALL}}}\n")
    assert told.startswith(said.replace("floor[0]: name", "floor[0].name"))


def test_a_callers_rule_holds_for_its_key(tmp_path: Path) -> None:
    rule = "floor: [{name: clinic, callers: [clinic-app], tier: lrm}]"
    assert asked_with_key(tmp_path, rule, "clinic-app").headers["x-penstock-backend"] == "lrm"
    assert asked_with_key(tmp_path, rule, "another").headers["x-penstock-backend"] == "small"
    refused = asked_with_key(tmp_path, rule, "clinic-app", model="small")
    assert refused.status == 400
    assert "below the floor lrm" in refused.json["error"]["message"]


def asked_with_key(folder: Path, rules: str, name: str, **fields: Any) -> Got:
    """Returns the reply to a question that the holder of a key of this name asks."""
    store = MemoryStore()
    key, text = new_key(Key(id="", name=name, digest="", created_at=0.0))
    store.put(key)
    app = Sidecar(router_of(folder, rules + "\n"), keys=store)
    return chat(app, headers={"x-api-key": text}, **fields)
