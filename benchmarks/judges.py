"""Whether judges pay on the embedded models: asked in words, and by the likelihood of an answer under another model.

    penstock demo --out demo --seed 11
    python benchmarks/judges.py demo [--asked 60]

The embedded models know sums, sorting and the like, and were never taught to judge. Beside the question in words, of
which `clear` is the share of verdicts that were a yes or a no, they are judges in the only way they can be: a verdict
is the chance that a model gives to another one's whole answer, read off one pass over the prompt and paid for by its
tokens. Trains on the demo's questions, default settings, and reports on its test questions: AUROC of confidence, out
of fold, in the judged answers without and with the verdicts; how often the judge was asked; and mean utility (score -
lam * cost, the demo's lam) without and with it.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from penstock.backends import Query, create_backend
from penstock.backends.embedded import embedded_folder
from penstock.classifiers.verdict import read_verdict, verdict_query
from penstock.router import Pool, read_config
from penstock.router.promise import settled
from penstock.training import Replayer, Trace, build_dataset, fit, read_traces, split_queries
from penstock.training.embedded.example import Example
from penstock.training.embedded.tokens import END, prompt_text
from penstock.training.rows import Verdict

HEADER = (
    "| judge | of | clear | AUROC without | with | asked | utility without | with |\n|---|---|---|---|---|---|---|---|"
)
JUDGES = {"small": "", "lrm@low": "low"}  # those that answer at once, and their efforts


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("demo", type=Path, help="the folder that `penstock demo` wrote")
    parser.add_argument("--asked", type=int, default=60, help="answers to ask about in words")
    options = parser.parse_args()
    config = read_config(options.demo / "models.yaml")
    rows = read_traces([options.demo / "traces.jsonl"]).rows
    print(HEADER, flush=True)
    for judge, effort in JUDGES.items():
        clear = asyncio.run(clear_share(config.backends[judge], rows[:: max(len(rows) // options.asked, 1)]))
        price = config.backends[judge].price
        assert price is not None  # the demo's have one
        judged = [row for row in rows if row.backend != judge]
        said = iter(likelihoods(judge.partition("@")[0], effort, judged, price.usd_per_1m_input / 1e6))
        told = [replace(row, verdicts=(next(said),)) if row.backend != judge else row for row in rows]
        dataset = build_dataset([replace(r, verdicts=tuple(replace(v, judge=judge) for v in r.verdicts)) for r in told])
        split = split_queries(dataset, seed=0)
        fitted = fit(dataset, split, seed=0)
        (worth,) = (each for each in fitted.signals if each.name == f"judge {judge}")
        replayer = Replayer(Pool({}, fitted.trained), dataset.take(split.test))
        default = config.policies[config.default_policy]
        policy = settled(replace(default, judge=""), fitted.trained, {})
        utilities = []
        for each in (policy, replace(policy, judge=judge)):
            outcome = replayer.outcome(each)
            utilities.append(f"{(outcome.score - policy.lam * outcome.cost_usd).mean():.4f}")
        steps = [step for each in replayer.run(replace(policy, judge=judge)) for step in each.outcome.steps]
        asked = sum(step.judged is not None for step in steps)
        print(
            f"| {judge} | {len(judged)} | {clear:.2f} | {worth.auroc_without:.3f} | {worth.auroc:.3f} |"
            f" {asked} | {' | '.join(utilities)} |",
            flush=True,
        )
    return 0


async def clear_share(spec: Any, rows: Sequence[Trace]) -> float:
    """Returns the share of answers on which a backend says yes or no when it is asked in words."""
    backend = create_backend(spec)
    try:
        asked = [verdict_query(Query.from_text(row.query), row.response or "", with_logprobs=False) for row in rows]
        said = [read_verdict(await backend.complete(query)) for query in asked]
    finally:
        await backend.aclose()
    return sum(verdict is not None for verdict in said) / len(said)


def likelihoods(model: str, effort: str, rows: Sequence[Trace], usd_per_token: float) -> list[Verdict]:
    """Returns for every answer the chance that an embedded model gives to it."""
    torch, transformers = import_module("torch"), import_module("transformers")
    folder = embedded_folder(f"embedded:{model}", where="judge")
    network = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    found = []
    for row in rows:
        asked = Example(task="", level=0, question=row.query, answer="", draft="", steps="")
        prompt = tokenizer.encode(prompt_text(asked, effort))
        whole = tokenizer.encode(prompt_text(asked, effort) + (row.response or "") + END)
        with torch.inference_mode():
            logits = network(torch.tensor([whole])).logits[0].log_softmax(-1)
        told = sum(float(logits[place - 1, whole[place]]) for place in range(len(prompt), len(whole)))
        found.append(Verdict(judge="", right=math.exp(min(told, 0.0)), cost_usd=len(whole) * usd_per_token))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
