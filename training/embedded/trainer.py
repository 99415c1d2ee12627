"""Trains one of the models; stops and goes on where it stopped."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import TraceError
from ..progress import Progress
from .stream import Batch, make_chunk
from .tiers import Tier
from .tokens import END, PAD, USER, VOCABULARY

_WARM_UP = 0.02  # share of the training over which the learning rate rises
_DECAY = 0.45  # and over which, at the end, it falls to 0
_EMBEDDING_LR = 1.5  # of the matrices' learning rate
_CONTEXT = 1_024
_SAVE_EVERY = 10  # chunks


def build_model(tier: Tier, tokenizer: Any, *, seed: int) -> Any:
    """Returns a new `LlamaForCausalLM` of this tier."""
    import torch

    transformers = import_module("transformers")
    torch.manual_seed(seed)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=tier.width,
            intermediate_size=tier.hidden,
            num_hidden_layers=tier.layers,
            num_attention_heads=tier.heads,
            num_key_value_heads=tier.heads,
            max_position_embeddings=_CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.token_to_id(USER),
            eos_token_id=tokenizer.token_to_id(END),
            pad_token_id=tokenizer.token_to_id(PAD),
            attn_implementation="eager",  # on a CPU, the backward pass of the fused one takes longer than all matrices
        )
    )


def train(tier: Tier, tokenizer: Any, *, folder: Path, seed: int, chunks: int, device: str, progress: Progress) -> Any:
    """Returns the model after that many chunks; `folder` keeps what it takes to go on after an interruption.

    Raises:
        TraceError: the checkpoint there is of another run.
    """
    import torch

    model = build_model(tier, tokenizer, seed=seed).to(device)
    optimizers = _optimizers(model, tier.peak_lr)
    saved = folder / "checkpoint.pt"
    made_for = [tier.name, seed, chunks]
    done, loss = 0, float("nan")
    if saved.exists():
        state = torch.load(saved, map_location=device, weights_only=True)
        if state["made_for"] != made_for:
            raise TraceError(f"{saved}: of another run; remove it, or choose a new folder with --out")
        model.load_state_dict(state["model"])
        for optimizer, values in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        done = state["done"]
    n_parameters = sum(p.numel() for p in model.parameters())
    progress.stage(f"training {tier.name}: {n_parameters:,} parameters, {done} of {chunks} chunks done")
    model.train()
    for place in progress.over(range(done, chunks), name=f"training {tier.name}", total=chunks - done):
        batches = list(make_chunk(tier, tokenizer, seed=seed, place=place))
        for turn, batch in enumerate(batches):
            rate = _rate((place + turn / len(batches)) / chunks)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["peak_lr"] * rate
            batch_loss = _loss(model, batch, device)
            batch_loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            value = float(batch_loss.detach())
            loss = value if loss != loss else 0.98 * loss + 0.02 * value
        if (place + 1) % _SAVE_EVERY == 0 or place + 1 == chunks:
            progress.stage(f"{tier.name}: {place + 1} of {chunks} chunks, loss {loss:.4f}")
            _save(saved, model, optimizers, done=place + 1, made_for=made_for)
    return model.eval()


def _optimizers(model: Any, peak_lr: float) -> list[Any]:
    """Returns Muon for the matrices (Jordan et al. 2024, kellerjordan.github.io/posts/muon) and AdamW for the rest."""
    import torch

    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(
            [{"params": matrices, "peak_lr": peak_lr}], lr=peak_lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(
            [{"params": rest, "peak_lr": peak_lr * _EMBEDDING_LR}], lr=peak_lr, betas=(0.9, 0.98), weight_decay=0.0
        ),
    ]


def _rate(done: float) -> float:
    """Returns the share of the peak learning rate: it rises, stays, and falls to 0 in a straight line."""
    return min(1.0, (done + 1e-4) / _WARM_UP, max(0.0, 1 - done) / _DECAY)


def _loss(model: Any, batch: Batch, device: str) -> Any:
    """Returns the mean cross-entropy of the replies' tokens; the prompt is not learned."""
    import torch

    ids = torch.from_numpy(batch.ids).to(device)
    is_target = torch.from_numpy(batch.is_reply[:, 1:]).to(device)
    with torch.autocast(device, dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
        logits = model.lm_head(hidden[is_target])
    return torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][is_target])


def _save(path: Path, model: Any, optimizers: list[Any], *, done: int, made_for: list[object]) -> None:
    """Replaces the checkpoint in one move: a kill leaves the old one or the new one."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "done": done,
        "made_for": made_for,
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
