"""The head that reads for itself: a transformers encoder whose own weights learn what is hard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .encoders.hf import load_pretrained, most_tokens
from .errors import FitError
from .features import Features
from .finetuned import FineTuned, TextNetwork
from .gradient import descend, import_torch
from .heads import check_folds, check_quality, predict_across
from .ridge import FloatArray
from .sparse import IntArray

if TYPE_CHECKING:
    from torch import Tensor

_N_PARTS = 3  # fits for the out-of-fold scores; the folds are put together into that many
_BATCH = 32
_MIN_STEPS = 400
_MIN_EPOCHS, _MAX_EPOCHS = 4, 20
_DECAY = 0.01
_WARM_UP = 0.1


class FinetuneHead:
    """All weights of the encoder in a folder, and one logit a backend on the mean of its hidden states.

    Needs the extra `local`, to fit and to serve. Rates are those of Adam for wide networks, in inverse proportion to
    the width (Yang et al. 2022, arXiv:2203.03466); few queries are seen in more epochs, with a warm-up of a tenth
    (Mosbach et al. 2021, arXiv:2006.04884).
    """

    predictor_: FineTuned

    def __init__(self, folder: str = "", *, rate_times_width: float = 0.03, seed: int = 0) -> None:
        self.folder = folder
        self.rate_times_width = rate_times_width
        self.seed = seed
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns once from all queries, and once for each part of them that is to be predicted unseen."""
        check_quality(features, quality)
        check_folds(features, folds)
        if not self.folder:
            raise FitError("classifier finetune: needs an encoder's folder, as in finetune:./encoders/minilm")
        parts = np.unique(folds, return_inverse=True)[1] % _N_PARTS
        self.out_of_fold_ = predict_across(self._learn, features=features, quality=quality, folds=parts)
        self.predictor_ = self._learn(features, quality, parts)
        return self

    def _learn(self, features: Features, quality: FloatArray, folds: IntArray) -> FineTuned:
        rows = np.flatnonzero(np.isfinite(quality).any(1))
        torch = import_torch("finetune")
        cards = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=cards):
            torch.manual_seed(self.seed)
            network = self._network(torch, np.nanmean(quality, axis=0))
            self._descend(torch, network, [features.texts[row] for row in rows], quality[rows])
        return FineTuned.of(network)

    def _network(self, torch: Any, means: FloatArray) -> TextNetwork:
        """Returns the encoder as it comes, with outputs that say each backend's mean of every text."""
        what = f"classifier finetune:{self.folder}"
        tokenizer, encoder = load_pretrained(self.folder, what=what)
        fast = getattr(tokenizer, "backend_tokenizer", None)
        if fast is None:
            raise FitError(f"{what}: its tokenizer has no tokenizer.json; expected a fast one")
        out = torch.nn.Linear(encoder.config.hidden_size, len(means))
        torch.nn.init.zeros_(out.weight)
        rate = np.clip(means, 0.01, 0.99)
        with torch.no_grad():
            out.bias.copy_(torch.tensor(np.log(rate / (1 - rate))))
        return TextNetwork(
            encoder=encoder.float(),
            out=out.to(encoder.device),
            tokenizer=fast,
            max_tokens=most_tokens(tokenizer, encoder),
            pad_id=tokenizer.pad_token_id or 0,
        )

    def _descend(self, torch: Any, network: TextNetwork, texts: Sequence[str], quality: FloatArray) -> None:
        device = network.out.weight.device
        seen = torch.tensor(np.isfinite(quality), dtype=torch.float32, device=device)
        target = torch.tensor(np.nan_to_num(quality), dtype=torch.float32, device=device)

        def loss_of(batch: IntArray) -> Tensor:
            total = torch.zeros((), device=device)
            for start in range(0, len(batch), _BATCH):  # what is held out comes in one, and may be more than fits
                rows = batch[start : start + _BATCH]
                losses = torch.nn.functional.binary_cross_entropy_with_logits(
                    network.logits([texts[row] for row in rows]), target[rows], reduction="none"
                )
                total = total + (losses * seen[rows]).sum()
            loss: Tensor = total / seen[batch].sum()
            return loss

        n_epochs = math.ceil(_MIN_STEPS * _BATCH / len(texts))
        descend(
            network.module,
            loss_of,
            len(texts),
            seed=self.seed,
            rate=self.rate_times_width / network.encoder.config.hidden_size,
            decay=_DECAY,
            n_epochs=min(max(n_epochs, _MIN_EPOCHS), _MAX_EPOCHS),
            batch=_BATCH,
            warm_up=_WARM_UP,
            patience=2,
        )
