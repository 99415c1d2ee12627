"""Trains the embedded models, examines them, and writes the folders that ship with the package."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import TraceError
from ..progress import Progress, quiet_or_shown
from .card import model_card
from .exam import MAX_OUTPUT_TOKENS, Cell, exam_questions, examine, means
from .stream import N_EXAMPLES
from .tiers import TIERS, Tier
from .tokens import chat_tokenizer, train_tokenizer
from .trainer import train

_EXAMPLE = "example: python -m penstock.training.embedded --out build/embedded"
_TOKENIZER_SEED = 0
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code of the command."""
    parser = argparse.ArgumentParser(prog="python -m penstock.training.embedded", description=__doc__, epilog=_EXAMPLE)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder a model is written to it")
    parser.add_argument("--only", choices=TIERS, help="train this one only (default: all three)")
    parser.add_argument(
        "--share", type=_share, default=1.0, metavar="X", help="of the training, to try it out (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, ... (default: a GPU if there is one)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: as torch decides)")
    parser.add_argument("--per-cell", type=int, default=40, metavar="N", help="exam questions a cell (default: 40)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(arguments)
    try:
        import torch

        transformers: Any = import_module("transformers")
    except ImportError:
        print("penstock: needs torch and transformers; pip install 'penstock[local]'", file=sys.stderr)  # noqa: T201
        return 1
    transformers.utils.logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    report = {}
    try:
        with quiet_or_shown(quiet=options.quiet) as progress:
            for name in [options.only] if options.only else list(TIERS):
                report[name] = _make(TIERS[name], options, device, progress)
    except TraceError as error:
        print(f"penstock: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("penstock: interrupted; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    for name, cells in report.items():
        for effort, (accuracy, tokens) in means(cells).items():
            print(f"{name}{'@' if effort else ''}{effort:<8} accuracy {accuracy:.3f}, {tokens:6.1f} tokens")  # noqa: T201
    print(f"models and cards: {options.out}")  # noqa: T201
    return 0


def _make(tier: Tier, options: argparse.Namespace, device: str, progress: Progress) -> list[Cell]:
    """Trains and examines one model, and writes its folder."""
    folder: Path = options.out / tier.name
    tokenizer = train_tokenizer(_TOKENIZER_SEED)
    chunks = max(1, round(tier.chunks * options.share))
    model = train(
        tier,
        tokenizer,
        folder=options.out / "checkpoints" / tier.name,
        seed=options.seed,
        chunks=chunks,
        device=device,
        progress=progress,
    )
    write_model(model, tokenizer, tier, folder)
    model = model.half().float()  # what is shipped is what is examined
    questions = exam_questions(per_cell=options.per_cell, seed=options.seed)
    cells = examine(model, tokenizer, tier, questions, device=device, progress=progress)
    card = model_card(
        tier,
        cells,
        n_parameters=sum(p.numel() for p in model.parameters()),
        n_examples=chunks * N_EXAMPLES,
        seed=options.seed,
        per_cell=options.per_cell,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    lines = [json.dumps(cell.as_dict()) for cell in cells]
    (options.out / f"{tier.name}.exam.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return cells


def write_model(model: Any, tokenizer: Any, tier: Tier, folder: Path) -> None:
    """Writes weights in float16, configuration, tokenizer and chat template: what transformers' Auto classes load."""
    import torch

    half = type(model)(model.config)
    half.load_state_dict(model.state_dict())
    half = half.to(torch.float16)
    half.config.dtype = torch.float16
    half.config._attn_implementation = "sdpa"
    half.generation_config.update(
        do_sample=False,
        max_new_tokens=MAX_OUTPUT_TOKENS,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )
    half.save_pretrained(folder)
    chat_tokenizer(tokenizer, tier).save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    known_to_all = {**json.loads(settings.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}
    settings.write_text(json.dumps(known_to_all, indent=2) + "\n")  # the new name of the class is unknown before 5.0
    for file in folder.iterdir():
        file.chmod(0o644)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 10:
        raise argparse.ArgumentTypeError(f"expected a number above 0, up to 10, got {text!r}")
    return share


if __name__ == "__main__":
    raise SystemExit(main())
