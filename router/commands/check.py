"""`penstock check`: is models.yaml right, and with --live, does every backend answer?"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...backends import Backend, BackendSpec, PenstockError, Price, Query, create_backend
from ...classifiers import load_artefact
from ..config import Config, read_config
from ..decision import BY_PUBLIC_ANSWERS
from ..handover import UNTOLD
from ..pool import Pool
from ..settings import COLD_START
from .shared import DEFAULT_MODELS, add_json, print_json

if TYPE_CHECKING:
    from ...classifiers import Trained

Ask = Callable[[Backend], Awaitable[str]]


class CheckCommand:
    """Validates the configuration; says everything that is wrong, not only the first thing."""

    description = "Validates models.yaml, its artefact and the environment it needs."
    example = "penstock check models.yaml --live"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        parser.add_argument("models", nargs="?", default=DEFAULT_MODELS, help="configuration (default: models.yaml)")
        parser.add_argument("--live", action="store_true", help="ask every backend for one token")
        add_json(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Prints a line a backend and returns 1 if anything is wrong."""
        config = read_config(options.models)
        rows = asyncio.run(_check_all(config, ask=_say_ok if options.live else None))
        notes, problems = _rest_checked(config)
        failed = [f"{row['backend']}: {row['problem']}" for row in rows if row["problem"]]
        if options.json:
            policies = list(config.policies)
            print_json({"backends": rows, "policies": policies, "notes": notes, "problems": failed + problems})
        else:
            for row in rows:
                state = row["problem"] or row["live"] or "ok"
                what = f"{row['type']} {row['model']}".rstrip()
                print(f"{row['backend']}: {what}, {row['price']}: {state}")
            print(f"policies: {', '.join(config.policies)}; default {config.default_policy}")
            for line in (*notes, *problems):
                print(line)
        return 1 if failed or problems else 0


async def _check_all(config: Config, *, ask: Ask | None) -> list[dict[str, Any]]:
    """Returns a row for every backend, in the order of the file; all are built, and asked where `ask` is given."""
    return await asyncio.gather(*(_check_one(spec, ask) for spec in config.backends.values()))


async def _check_one(spec: BackendSpec, ask: Ask | None) -> dict[str, Any]:
    row = {"backend": spec.name, "type": spec.type, "model": spec.model, "price": _shown_price(spec.price)}
    try:
        backend = create_backend(spec)
        try:
            live = await ask(backend) if ask else None
        finally:
            await backend.aclose()
    except PenstockError as error:
        # The row begins with the name already.
        problem = str(error).removeprefix(f"backends.{spec.name}.").removeprefix(f"{spec.name}: ")
        return {**row, "live": None, "problem": problem}
    return {**row, "live": live, "problem": None}


async def _say_ok(backend: Backend) -> str:
    hello = {"role": "user", "content": "Say ok."}
    query = Query.from_messages([hello], params={"max_tokens": 1})
    done = await backend.complete(replace(query, draft="ok") if backend.spec.checks_draft else query)
    return f"answered in {done.latency_s:.2f} s"


def _shown_price(price: Price | None) -> str:
    if price is None:
        return "no price"
    if price.usd_per_1m_input == 0 and price.usd_per_1m_output == 0:
        return "free (price 0: cost will never be a reason not to ask it)"
    return f"${price.usd_per_1m_input:g} in, ${price.usd_per_1m_output:g} out per 1M tokens"


def _rest_checked(config: Config) -> tuple[list[str], list[str]]:
    """Returns notes and problems about what is no backend: the artefact, the policies, the trace log."""
    problems = []
    try:
        config.traces.open_content()
    except PenstockError as error:
        problems.append(str(error))
    if config.artefact is None or not config.artefact.exists():
        missing = "no artefact" if config.artefact is None else f"artefact {config.artefact} does not exist yet"
        notes = [f"{missing}; {COLD_START}"]
        unkept, wrong = _policies_checked(config, None)
        if config.artefact is None:
            return notes, problems + unkept + wrong
        return notes + unkept, problems + wrong  # what is missing is to come
    try:
        trained, manifest = load_artefact(config.artefact)
    except PenstockError as error:
        return [], [*problems, str(error)]
    notes = [f"artefact {config.artefact}: classifier {manifest.classifier}, encoder {manifest.encoder}"]
    notes += _artefact_notes(config, trained)
    unkept, wrong = _policies_checked(config, trained)
    return notes, problems + unkept + wrong


def _policies_checked(config: Config, trained: Trained | None) -> tuple[list[str], list[str]]:
    """Returns what the artefact does not know for a policy, and what else is wrong: wishes that leave nobody to ask."""
    pool = Pool(config.backends, trained)
    unkept = pool.unkept(config.policies.values())
    wrong = []
    for policy in config.policies.values():
        if policy.name not in unkept:
            # Without those that hang on the query.
            wishes = replace(policy, min_quality=None, max_cost_usd=None, max_latency_s=None, budget=None)
            try:
                pool.decide(Query.from_text("Say ok."), wishes)
            except PenstockError as error:
                wrong.append(f"policy {policy.name}: {error}")
    return list(unkept.values()), wrong


def _artefact_notes(config: Config, trained: Trained) -> list[str]:
    """Returns where the artefact and models.yaml differ."""
    notes = []
    learned, configured = trained.model.backends, tuple(config.backends)
    handover = trained.escalation.handover
    checkers = handover.checkers if handover else ()
    for name, spec in config.backends.items():
        if spec.checks_draft and name not in checkers:
            notes.append(f"backend {name} {UNTOLD}: it is never asked")
        elif name not in (*learned, *checkers):
            notes.append(f"backend {name} is not in the artefact: its quality is guessed from its tier")
    for name in learned:
        if name not in configured:
            notes.append(f"backend {name} of the artefact is not in models.yaml: it is left out")
    if trained.confidence is None:
        notes.append(BY_PUBLIC_ANSWERS)
    jury = trained.escalation.jury
    for policy in config.policies.values():
        if policy.judge and (jury is None or policy.judge not in jury.judges):
            notes.append(
                f"policy {policy.name}: no trace tells what verdicts of {policy.judge} are worth: none is asked"
            )
    return notes
