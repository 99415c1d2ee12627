"""What the routed requests need: a router trained on made-up traces, and questions that it has not seen."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

from penstock.classifiers.encoders.static import load_static
from penstock.training.questions import KINDS, LEVELS, make_question


def trained_router(folder: Path, *, n_traces: int) -> Path:
    """Returns the folder of a router that `penstock train` made with its defaults, now or in an earlier run."""
    artefact, traces = folder / f"artefact-{n_traces}", folder / f"traces-{n_traces}.jsonl"
    if not artefact.exists():
        print(f"training a router on {n_traces} made-up traces", file=sys.stderr)
        make = [sys.executable, "-m", "penstock.training.generate", "--n", str(n_traces), "--out", str(traces)]
        learn = [sys.executable, "-m", "penstock.router.cli", "train", str(traces), "--out", str(artefact)]
        for command in (make, [*learn, "--no-report", "--quiet"]):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return artefact


def write_questions(folder: Path, n: int, *, seed: int = 1, shortest: int = 18, longest: int = 22) -> Path:
    """Returns a file of n questions, all different, of about 20 tokens each, with right answers."""
    rng, encoder = random.Random(seed), load_static()
    found: dict[str, str] = {}
    while len(found) < n:
        question = make_question(rng, kind=rng.choice(list(KINDS)), level=rng.choice(LEVELS))
        if shortest <= len(encoder.tokenize(question.text)) <= longest:
            found[question.text] = "\n".join([*question.right.steps, f"The answer is {question.right.answer}."])
    path = folder / "questions.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    return path
