"""Traces of questions whose answers are sentences: no final answer can be read off them."""

from __future__ import annotations

import random

from penstock.classifiers.final_answer import stated_answer
from penstock.training import Trace

CAUSES = (
    "rust in the steel cables", "a flood that took two pillars", "an earthquake under the northern bank",
    "termites in the wooden deck", "a barge that rammed the arch", "frost in the masonry joints",
    "a strike of the toll keepers", "lightning that burnt the gatehouse", "quicksand below the anchors",
    "a landslide from the quarry", "unpaid bills of the contractor", "bats nesting under the vaults",
)  # fmt: skip
FORMS = (
    "It was {}, as far as the records of the town tell us.",
    "The reason given at the time: {}. Nothing else was found.",
    "Engineers blamed {} and had it shut on the spot.",
)
PLACES = ("Aldern", "Brook", "Corvin", "Dunmoor", "Elmsey", "Farrow", "Gant", "Hollin", "Iver", "Jarrow")
ABILITY = {"small": 0.55, "mid": 0.65, "lrm": 0.9}
COST_USD = {"small": 0.0001, "mid": 0.0003, "lrm": 0.006}


def traces_in_words(n_queries: int, seed: int) -> list[Trace]:
    """Returns three backends' answers; two right ones say the same in other words, wrong ones say anything."""
    rng = random.Random(seed)
    rows = []
    for number in range(n_queries):
        truth = rng.choice(CAUSES)
        for place, backend in enumerate(ABILITY):
            is_right = rng.random() < ABILITY[backend]
            cause = truth if is_right else rng.choice([cause for cause in CAUSES if cause != truth])
            rows.append(
                Trace(
                    query_id=str(number),
                    query=f"Why was the bridge of {PLACES[number % 10]} on road {number} closed?",
                    backend=backend,
                    score=float(is_right),
                    cost_usd=COST_USD[backend],
                    response=FORMS[place].format(cause),
                )
            )
    assert all(stated_answer(row.response or "") is None for row in rows)
    return rows
