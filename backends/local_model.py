"""Loads a transformers causal language model and reads off what generation needs to know."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .embedded import embedded_folder, is_embedded
from .errors import ConfigError
from .loading import loading
from .local_sampling import Sampling
from .thinking import CLOSING, OPENING

DTYPES = ("auto", "float32", "bfloat16", "float16")
MAX_BATCH = 16
SMALL_MODEL = 50_000_000  # parameters; below, more than one thread on a CPU costs more than it gains


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which model is loaded and how. Backends with equal settings share one loaded model and its batches."""

    model: str  # a folder, resolved, or a hub id
    device: str = "auto"
    dtype: str = "auto"
    max_batch: int = MAX_BATCH
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A loaded model. Only the thread that loaded it may use it: the tokenizer is not safe to share."""

    network: Any  # transformers.PreTrainedModel
    tokenizer: Any  # transformers.PreTrainedTokenizerBase
    device: str
    end_tokens: frozenset[int]
    hidden_tokens: frozenset[int]  # special tokens that are no part of the text; <think> and </think> are
    defaults: Sampling
    default_output_tokens: int | None
    context_tokens: int | None
    can_stack: bool  # rows of a batch may join and leave; else one row at a time
    takes_positions: bool
    takes_logits_to_keep: bool


def locate_model(model: str, *, where: str) -> str:
    """Returns the resolved path of a model folder, `embedded:NAME` among them, or the hub id as it is. Loads nothing.

    Raises:
        ConfigError: the name is missing, the folder does not exist or holds no model, or torch or
            transformers is not installed.
    """
    if not model:
        raise ConfigError(f"{where}: missing; expected a folder with a transformers model, a hub id, or embedded:small")
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"{where}: needs {' and '.join(missing)}; pip install 'penstock[local]'")
    folder = embedded_folder(model, where=where) if is_embedded(model) else Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ConfigError(f"{where}: the folder {model!r} holds no transformers model: it has no config.json")
        return str(folder.resolve())
    if folder.exists():
        raise ConfigError(f"{where}: {model!r} is a file; expected a folder with a transformers model, or a hub id")
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", model):
        raise ConfigError(f"{where}: the folder {model!r} does not exist")
    return model


def load_model(settings: ModelSettings) -> LocalModel:
    """Returns the model, ready to generate, on its device.

    Raises:
        ConfigError: it cannot be loaded, or has no chat template.
    """
    import torch

    transformers: Any = import_module("transformers")
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = settings.dtype
    if dtype == "auto" and device == "cpu":
        dtype = "float32"  # half precision is slow or missing on many CPUs
    try:
        with loading():
            tokenizer = transformers.AutoTokenizer.from_pretrained(settings.model)
            network = transformers.AutoModelForCausalLM.from_pretrained(settings.model, dtype=dtype)
            network = network.to(device).eval()
    except Exception as error:  # the loaders document no exceptions, and raise nearly every kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"cannot load the model {settings.model!r}: {reason}") from error
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(f"cannot chat with the model {settings.model!r}: its tokenizer has no chat template")
    if "past_key_values" not in inspect.signature(network.forward).parameters:
        raise ConfigError(
            f"cannot generate with the model {settings.model!r}: {type(network).__name__} takes no `past_key_values`"
        )
    is_small = device == "cpu" and network.num_parameters() < SMALL_MODEL
    usual = _usual_threads()  # asked before it changes for threads to come
    torch.set_num_threads(settings.threads or (1 if is_small else usual))
    return _describe(network, tokenizer, device)


@cache
def _usual_threads() -> int:
    """Returns how many threads torch takes by itself, as it was before the first model was loaded.

    Setting the number in one thread sets it for threads that start later too, so a small model would
    slow down a large one that is loaded after it.
    """
    import torch

    return torch.get_num_threads()


def _describe(network: Any, tokenizer: Any, device: str) -> LocalModel:
    """Returns the model with everything that generation asks of its configuration."""
    generation = network.generation_config
    config = network.config.get_text_config(decoder=True)
    arguments = inspect.signature(network.forward).parameters
    end = generation.eos_token_id if generation.eos_token_id is not None else tokenizer.eos_token_id
    end_tokens = frozenset([end] if isinstance(end, int) else end or ())
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    tags = {tokenizer.convert_tokens_to_ids(tag) for tag in (OPENING, CLOSING)}
    return LocalModel(
        network=network,
        tokenizer=tokenizer,
        device=device,
        end_tokens=end_tokens,
        hidden_tokens=frozenset(special | set(tokenizer.all_special_ids)) - tags,
        defaults=Sampling(
            temperature=_or_default(generation.temperature, 1.0) if generation.do_sample else 0.0,
            top_p=_or_default(generation.top_p, 1.0) if generation.do_sample else 1.0,
            top_k=int(_or_default(generation.top_k, 0)) if generation.do_sample else 0,
            repetition_penalty=_or_default(generation.repetition_penalty, 1.0),
        ),
        default_output_tokens=generation.max_new_tokens,
        context_tokens=getattr(config, "max_position_embeddings", None),
        can_stack=_can_stack(network, config),
        takes_positions="position_ids" in arguments,
        takes_logits_to_keep="logits_to_keep" in arguments,
    )


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else float(value)


def _can_stack(network: Any, config: Any) -> bool:
    """Returns whether all that the model remembers of a text is one key and one value per layer and token.

    Recurrent and compressed memories cannot be cut and padded row by row.
    """
    transformers: Any = import_module("transformers")
    plain = {"full_attention", "sliding_attention"}
    layer_types = set(getattr(config, "layer_types", None) or plain)
    layers = {type(layer).__name__ for layer in transformers.DynamicCache(config=network.config).layers}
    is_plain = layer_types <= plain and layers <= {"DynamicLayer", "DynamicSlidingWindowLayer"}
    return is_plain and not getattr(network, "_is_stateful", False)
