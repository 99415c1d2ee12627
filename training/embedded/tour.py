"""The demo's material: the embedded models described in a models.yaml, questions for them, and their answers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ...backends import ConfigError
from ...backends.retries import Retries
from ...router import read_config
from ..collect import Collector
from ..collecting.crew import Crew, run_collector
from ..collecting.trace_file import open_trace_file
from ..graders import create_grader
from ..progress import Progress
from ..prompts import read_prompts
from .prompts import write_prompts

_AT_ONCE = 32  # questions that one model answers together
BACKENDS_YAML = """\
  small: {type: local, model: "embedded:small", tier: small, price: {input: 0.05, output: 0.40}, max_batch: 32}
  mid:   {type: local, model: "embedded:mid", tier: mid, price: {input: 0.25, output: 2.00}, max_batch: 32}
  lrm:
    type: local
    model: "embedded:lrm"
    tier: lrm
    efforts: [low, medium, high]
    price: {input: 1.25, output: 10.00}
    max_batch: 32
"""


def check_installed() -> None:
    """Returns where the embedded models can run.

    Raises:
        ConfigError: what they need is not installed.
    """
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise ConfigError(
            "the embedded models need torch and transformers: pip install 'penstock[local]'; or give --traces, which"
            " needs neither"
        )


def collect_answers(
    models: Path, questions: Path, out: Path, *, n: int, n_test: int, mix: str, seed: int, progress: Progress
) -> bool:
    """Writes questions, asks every backend of `models` each of them, writes the graded traces to `out`.

    What is there already from an earlier run is not asked again. Returns whether it was interrupted.
    """
    write_prompts(questions, n=n, n_test=n_test, mix=mix, seed=seed)
    prompts = read_prompts([questions])
    config = read_config(models)
    crew = Crew(config, retries=Retries(most=0), most_at_once=_AT_ONCE)
    grader = create_grader("exact", crew.judge)
    with open_trace_file(out) as file:
        collector = Collector(
            prompts,
            {name: crew.asker(spec) for name, spec in config.backends.items()},
            file,
            grader_of=lambda prompt: grader,
            max_at_once=_AT_ONCE,
        )
        return run_collector(collector, crew, progress)


def right_answers(questions: Path) -> dict[str, str]:
    """Returns the right answer to every question, by query_id."""
    return {prompt.query_id: prompt.answers[0] for prompt in read_prompts([questions])}
