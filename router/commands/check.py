"""`penstock check`: is models.yaml right, and with --live, does every backend answer?"""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import Any

from ...backends import PenstockError, Query, create_backend
from ...classifiers import load_artefact
from ..config import Config, read_config
from .shared import DEFAULT_MODELS, add_json, print_json


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
        rows = [_static_check(config, name) for name in config.backends]
        if options.live:
            asyncio.run(_live_check(config, rows))
        notes, problems = _artefact_check(config)
        if options.json:
            print_json({"backends": rows, "policies": list(config.policies), "notes": notes, "problems": problems})
        else:
            for row in rows:
                state = row["problem"] or row.get("live") or "ok"
                print(f"{row['backend']}: {row['type']} {row['model']}, {row['price']}: {state}")
            print(f"policies: {', '.join(config.policies)}; default {config.default_policy}")
            for line in (*notes, *problems):
                print(line)
        return 1 if problems or any(row["problem"] for row in rows) else 0


def _static_check(config: Config, name: str) -> dict[str, Any]:
    spec = config.backends[name]
    price, problem = "no price", None
    if spec.price is not None:
        price = f"${spec.price.usd_per_1m_input:g} in, ${spec.price.usd_per_1m_output:g} out per 1M tokens"
        if spec.price.usd_per_1m_input == 0 and spec.price.usd_per_1m_output == 0:
            price = "free (price 0: cost will never be a reason not to ask it)"
    if spec.api_key_env and not os.environ.get(spec.api_key_env):
        problem = f"environment variable {spec.api_key_env} is not set"
    return {"backend": name, "type": spec.type, "model": spec.model, "price": price, "problem": problem}


async def _live_check(config: Config, rows: list[dict[str, Any]]) -> None:
    """Fills in, for each backend without a problem so far, whether it answers."""

    async def one(row: dict[str, Any]) -> None:
        if row["problem"]:
            return
        try:
            backend = create_backend(config.backends[row["backend"]])
            try:
                hello = {"role": "user", "content": "Say ok."}
                done = await backend.complete(Query.from_messages([hello], params={"max_tokens": 1}))
            finally:
                await backend.aclose()
            row["live"] = f"answered in {done.latency_s:.2f} s"
        except PenstockError as error:
            row["problem"] = str(error)

    await asyncio.gather(*(one(row) for row in rows))


def _artefact_check(config: Config) -> tuple[list[str], list[str]]:
    """Returns notes and problems about the artefact."""
    if config.artefact is None:
        return ["no artefact: cold start, quality is guessed from tiers"], []
    if not config.artefact.exists():
        return [f"artefact {config.artefact} does not exist yet: cold start, quality is guessed from tiers"], []
    try:
        trained, manifest = load_artefact(config.artefact)
    except PenstockError as error:
        return [], [str(error)]
    notes = [f"artefact {config.artefact}: classifier {manifest.classifier}, encoder {manifest.encoder}"]
    learned, configured = trained.model.backends, tuple(config.backends)
    for name in configured:
        if name not in learned:
            notes.append(f"backend {name} is not in the artefact: its quality is guessed from its tier")
    for name in learned:
        if name not in configured:
            notes.append(f"backend {name} of the artefact is not in models.yaml: it is left out")
    return notes, []
