"""What the embedded models that ship get right: accuracy and tokens by model and effort, over all tasks and levels.

    python benchmarks/embedded_exam.py [--per-cell 30] [--seed 1]

With the defaults it asks the questions of the model cards, which hold the same figures task by task.
"""

from __future__ import annotations

import argparse

from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from penstock.backends.embedded import EMBEDDED, embedded_folder
from penstock.training.embedded.exam import exam_questions, examine, means
from penstock.training.embedded.tiers import TIERS
from penstock.training.progress import Silent


def main() -> None:
    """Examines and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--per-cell", type=int, default=30, help="questions of each task and level (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="of the questions (default: 1)")
    options = parser.parse_args()
    questions = exam_questions(per_cell=options.per_cell, seed=options.seed)
    print("| model | accuracy | tokens | tokens, small's = 1 |\n|---|---|---|---|", flush=True)
    least = 0.0
    for name in EMBEDDED:
        folder = embedded_folder(f"embedded:{name}", where=name)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        model.eval()  # type: ignore[no-untyped-call]  # transformers does not say
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        cells = examine(model, tokenizer, TIERS[name], questions, device="cpu", progress=Silent())
        for effort, (accuracy, tokens) in means(cells).items():
            least = least or tokens  # small comes first
            print(
                f"| {name}{'@' * bool(effort)}{effort} | {accuracy:.3f} | {tokens:.1f} | {tokens / least:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
