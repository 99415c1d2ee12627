"""Tokens per second of the `local` backend, one query at a time and several at once, beside transformers' own generate.

    python benchmarks/local_backend.py [--model small] [--concurrency 8] [--tokens 128] [--rounds 3]

The model has the shape of an embedded one and never ends an answer: its weights are random, since speed does not depend
on what they say. Each figure is the best of the rounds, so that a busy machine disturbs it less.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from penstock.backends import BackendSpec, Query
from penstock.backends.embedded import EMBEDDED, embedded_folder
from penstock.backends.local import LocalBackend

QUESTION = "How much is {a} plus {b}? Think about it step by step, then write the sum."


def build_model(name: str, folder: Path) -> int:
    """Returns the number of parameters of the model saved in `folder`; nothing ever ends its answers."""
    import torch

    transformers: Any = import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    shipped = embedded_folder(f"embedded:{name}", where="--model")
    transformers.AutoTokenizer.from_pretrained(shipped).save_pretrained(folder)
    config = transformers.AutoConfig.from_pretrained(shipped, bos_token_id=None, eos_token_id=None, dtype="float32")
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return int(model.num_parameters())


def queries(number: int, n_tokens: int) -> list[Query]:
    """Returns questions of slightly different lengths."""
    texts = [QUESTION.format(a=7**place, b=place) for place in range(number)]
    return [Query(messages=({"role": "user", "content": text},), params={"max_tokens": n_tokens}) for text in texts]


async def measure_backend(folder: Path, concurrency: int, n_tokens: int, rounds: int) -> tuple[float, float]:
    """Returns the tokens per second of queries one after the other, and of all at once."""
    backend = LocalBackend(BackendSpec(name="small", type="local", model=str(folder)))
    asked = queries(concurrency, n_tokens)
    await backend.complete(asked[0])

    async def one_by_one() -> int:
        return sum([(await backend.complete(query)).usage.output_tokens for query in asked])

    async def at_once() -> int:
        completions = await asyncio.gather(*(backend.complete(query) for query in asked))
        return sum(completion.usage.output_tokens for completion in completions)

    best = [0.0, 0.0]
    for _ in range(rounds):
        for place, run in enumerate((one_by_one, at_once)):
            started = time.perf_counter()
            n_generated = await run()
            best[place] = max(best[place], n_generated / (time.perf_counter() - started))
    await backend.aclose()
    return best[0], best[1]


def measure_generate(folder: Path, concurrency: int, n_tokens: int, rounds: int) -> tuple[float, float]:
    """Returns the same for `generate`, which gets all queries as one padded batch that starts together."""
    import torch

    transformers: Any = import_module("transformers")
    torch.set_num_threads(1)  # as the backend does for a model of this size
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = [str(query.messages[0]["content"]) for query in queries(concurrency, n_tokens)]

    def generate(prompts: list[str]) -> int:
        batch = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
        output = model.generate(**batch, max_new_tokens=n_tokens, do_sample=False, pad_token_id=0)
        return len(prompts) * int(output.shape[1] - batch["input_ids"].shape[1])

    def best(run: Callable[[], int]) -> float:
        figures = []
        for _ in range(rounds):
            started = time.perf_counter()
            n_generated = run()
            figures.append(n_generated / (time.perf_counter() - started))
        return max(figures)

    generate(texts[:1])
    return best(lambda: sum(generate([text]) for text in texts)), best(lambda: generate(texts))


def main() -> None:
    """Builds the model, measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", choices=EMBEDDED, default="small", help="whose shape it has (default small)")
    parser.add_argument("--concurrency", type=int, default=8, help="queries at once (default 8)")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each answer (default 128)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions; the best one counts (default 3)")
    arguments = parser.parse_args()
    shape = (arguments.concurrency, arguments.tokens, arguments.rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_parameters = build_model(arguments.model, folder)
        print(f"embedded {arguments.model}, {n_parameters / 1e6:.2f}M parameters, random weights")
        rows = {
            "LocalBackend": asyncio.run(measure_backend(folder, *shape)),
            "transformers generate": measure_generate(folder, *shape),
        }
    print(f"{'tokens/s':24}{'one at a time':>16}{f'{arguments.concurrency} at once':>16}{'ratio':>8}")
    for label, (single, together) in rows.items():
        print(f"{label:24}{single:16.0f}{together:16.0f}{together / single:8.2f}")


if __name__ == "__main__":
    main()
