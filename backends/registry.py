"""From a name in models.yaml to the class behind it, imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from .errors import FOREIGN_ERRORS, ConfigError
from .foreign import create_foreign
from .rewriting import RewritingBackend
from .samples import resampled
from .spec import BackendSpec
from .styles import instructed, with_draft
from .types import Backend

BACKENDS = {
    "openai": "penstock.backends.openai:OpenAIBackend",
    "anthropic": "penstock.backends.anthropic:AnthropicBackend",
    "local": "penstock.backends.local:LocalBackend",
    "replay": "penstock.backends.replay:ReplayBackend",
    "fake": "penstock.backends.fake:FakeBackend",
}


BACKEND_METHODS = ("complete", "stream", "aclose")


def resolve(name: str, table: dict[str, str], *, what: str, methods: Sequence[str] = ()) -> Any:
    """Returns the object behind a built-in name or a third party's `package.module:Name`.

    With `methods` it is a class that has them, so that nothing else is ever called in its place.

    Raises:
        ConfigError: the name is unknown, its module or attribute does not exist, or it stands for something else.
    """
    target = table.get(name, name if ":" in name else "")
    if not target:
        known = ", ".join(table)
        raise ConfigError(f"{what}: unknown {name!r}; expected one of {known}, or package.module:Name")
    module_name, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # the last two: not the name of a module
        raise ConfigError(f"{what}: cannot load {target!r}: {error}") from error
    except FOREIGN_ERRORS as error:  # a module of another's runs as it is loaded
        raise ConfigError(f"{what}: cannot load {target!r}: {type(error).__name__}: {error}") from error
    if methods and not (isinstance(found, type) and all(callable(getattr(found, each, None)) for each in methods)):
        needed = ", ".join(f"`{method}`" for method in methods)
        raise ConfigError(f"{what}: {target!r} is not a class with {needed}")
    return found


def create_backend(spec: BackendSpec) -> Backend:
    """Returns the backend that `spec` describes.

    Raises:
        ConfigError: the type is unknown, or an option or a needed environment variable is wrong.
    """
    backend_type = resolve(spec.type, BACKENDS, what=f"backends.{spec.name}.type", methods=BACKEND_METHODS)
    backend: Backend = backend_type(spec) if spec.type in BACKENDS else create_foreign(backend_type, spec)
    if spec.instruction:
        backend = RewritingBackend(backend, partial(instructed, instruction=spec.instruction))
    if spec.checks_draft:
        backend = RewritingBackend(backend, with_draft)
    if spec.draw:
        backend = RewritingBackend(backend, partial(resampled, draw=spec.draw))
    return backend
