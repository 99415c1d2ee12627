"""What the routed requests need: a router trained on made-up traces, and questions that it has not seen."""

from __future__ import annotations

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


def questions_of(n: int, *, seed: int = 1, shortest: int = 18, longest: int = 22) -> list[str]:
    """Returns n questions, all different, of about 20 tokens each."""
    rng, encoder = random.Random(seed), load_static()
    found: set[str] = set()
    while len(found) < n:
        text = make_question(rng, kind=rng.choice(list(KINDS)), level=rng.choice(LEVELS)).text
        if shortest <= len(encoder.tokenize(text)) <= longest:
            found.add(text)
    return sorted(found)
