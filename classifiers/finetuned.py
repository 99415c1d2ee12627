"""A transformers encoder with an output a backend, as an artefact holds it: it needs nothing but the extra `local`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..backends.loading import loading
from .encoders.hf import batches_by_length, mean_pool
from .errors import ArtefactError
from .features import Features, QueryFeatures
from .gradient import as_array
from .logistic import sigmoid
from .ridge import FloatArray

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Linear

# Of a configuration, what says where it came from or asks for code or kernels from elsewhere.
_LEFT_OUT = {"attn_implementation", "auto_map", "dtype", "quantization_config", "torch_dtype", "transformers_version"}


class TextNetwork:
    """Texts to logits: mean of the encoder's last hidden states, then one linear output a backend."""

    def __init__(self, *, encoder: Any, out: Linear, tokenizer: Any, max_tokens: int, pad_id: int) -> None:
        """Keeps a transformers model, what turns its dimensions to logits, and a tokenizer of package `tokenizers`."""
        import torch

        self.encoder = encoder
        self.out = out
        self.module = torch.nn.ModuleDict({"encoder": encoder, "out": out})
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.pad_id = pad_id
        tokenizer.enable_truncation(max_tokens)
        tokenizer.enable_padding(pad_id=pad_id)

    def logits(self, texts: Sequence[str]) -> Tensor:
        """Returns one logit a text and backend, (n_texts, n_backends); at least one text is needed."""
        import torch

        encoded = self.tokenizer.encode_batch(list(texts))
        device = self.out.weight.device
        tokens = torch.tensor([one.ids for one in encoded], device=device)
        mask = torch.tensor([one.attention_mask for one in encoded], device=device)
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        logits: Tensor = self.out(mean_pool(hidden, mask))
        return logits

    def predict(self, texts: Sequence[str]) -> FloatArray:
        """Returns the chance of being right of each backend, (n_texts, n_backends)."""
        import torch

        out = np.empty((len(texts), self.out.out_features))
        with torch.inference_mode():
            for rows in batches_by_length(texts):
                out[rows] = as_array(self.logits([texts[row] for row in rows]))
        return sigmoid(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuned:
    """A fitted `TextNetwork` as arrays and plain text."""

    config: str  # of the transformers model, JSON
    tokenizer: NDArray[np.uint8]  # tokenizer.json
    max_tokens: int
    pad_id: int
    names: tuple[str, ...]
    weights: tuple[NDArray[Any], ...]  # in the order of `names`
    _network: TextNetwork = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_network", self._build())

    @classmethod
    def of(cls, network: TextNetwork) -> Self:
        """Returns the network as it is now."""
        state = {name: tensor.detach().cpu().numpy() for name, tensor in network.module.state_dict().items()}
        config = _told(network.encoder.config.to_dict())
        return cls(
            config=json.dumps(config, sort_keys=True),
            tokenizer=np.frombuffer(network.tokenizer.to_str().encode(), dtype=np.uint8),
            max_tokens=network.max_tokens,
            pad_id=network.pad_id,
            names=tuple(state),
            weights=tuple(state.values()),
        )

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        return self._network.predict(features.texts)

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        scores: FloatArray = self._network.predict([query.text])[0]
        return scores

    def _build(self) -> TextNetwork:
        try:
            import torch
            from tokenizers import Tokenizer
            from transformers import AutoConfig, AutoModel

            from_config: Any = AutoModel.from_config  # untyped
        except ImportError as error:
            raise ArtefactError(
                "trained with classifier finetune, which needs torch and transformers; pip install 'penstock[local]'"
            ) from error
        state = {name: torch.tensor(array) for name, array in zip(self.names, self.weights, strict=True)}
        try:
            told = _told(json.loads(self.config))
            config = AutoConfig.for_model(told.pop("model_type"), **told)
            with loading(), torch.random.fork_rng(devices=[]):  # the first weights are drawn, and then replaced
                encoder = from_config(config)
            n_backends, dim = state["out.weight"].shape
            out = torch.nn.Linear(dim, n_backends)
            network = TextNetwork(
                encoder=encoder,
                out=out,
                tokenizer=Tokenizer.from_str(self.tokenizer.tobytes().decode()),
                max_tokens=self.max_tokens,
                pad_id=self.pad_id,
            )
            network.module.load_state_dict(state)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ArtefactError(
                f"the encoder cannot be built with the transformers installed: {reason}; train again"
            ) from error
        network.module.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        return network


def _told(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a configuration says of the model's shape, alone."""
    return {key: value for key, value in config.items() if key not in _LEFT_OUT and not key.startswith("_")}
