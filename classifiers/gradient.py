"""Fitting by gradient descent with torch: one loop for the heads that need it. Serving does without torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import FitError
from .ridge import FloatArray
from .sparse import IntArray
from .telling import tell

if TYPE_CHECKING:
    import torch

_PATIENCE = 5  # epochs without progress on what is held out


def import_torch(what: str) -> Any:
    """Returns the module torch.

    Raises:
        FitError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise FitError(f"classifier {what}: needs torch; pip install 'penstock[local]'") from error
    return torch


def descend(
    module: torch.nn.Module,
    loss_of: Callable[[IntArray], torch.Tensor],
    n_rows: int,
    *,
    seed: int,
    rate: float,
    decay: float,
    n_epochs: int,
    batch: int = 64,
    warm_up: float | None = None,
    patience: int = _PATIENCE,
) -> None:
    """Fits the module in place by AdamW, and leaves it as it was in its best epoch.

    A tenth of the rows is held out; the best epoch is the one with the least loss on them. `loss_of` is given rows.
    With `warm_up` the rate rises over that share of all steps and falls to 0 over the rest, else it stays the same.
    The same seed gives the same weights on the same machine.
    """
    import torch

    rng = np.random.default_rng(seed)
    order = rng.permutation(n_rows)
    n_held_out = max(1, n_rows // 10)
    held_out, kept = order[:n_held_out], order[n_held_out:]
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay)
    n_steps = n_epochs * math.ceil(len(kept) / batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_rate(step, n_steps, warm_up))
    best, best_error, waited = _copy(module), np.inf, 0
    for epoch in range(n_epochs):
        module.train()
        so_far = f", least loss held out {best_error:.4f}" if epoch else ""
        shuffled = rng.permutation(kept)
        for start in range(0, len(shuffled), batch):
            optimizer.zero_grad()
            loss = loss_of(shuffled[start : start + batch])
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            done = min(start + batch, len(shuffled))
            tell(f"epoch {epoch + 1} of at most {n_epochs}, {done} of {len(shuffled)}{so_far}")
        module.eval()
        with torch.no_grad():
            error = float(loss_of(held_out))
        if error < best_error - 1e-5:
            best, best_error, waited = _copy(module), error, 0
        elif (waited := waited + 1) > patience:
            break
    module.load_state_dict(best)
    module.eval()


def _share_of_rate(step: int, n_steps: int, warm_up: float | None) -> float:
    if warm_up is None:
        return 1.0
    n_rising = max(1, round(warm_up * n_steps))
    return min((step + 1) / n_rising, max(0, n_steps - step) / max(1, n_steps - n_rising))


def _copy(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def as_array(tensor: torch.Tensor) -> FloatArray:
    """Returns the tensor as a numpy array of float64."""
    array: FloatArray = tensor.detach().cpu().numpy().astype(np.float64)
    return array
