"""What a backend type reads from models.yaml and the environment, checked when it is built."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .errors import ConfigError
from .spec import BackendSpec


def check_options(spec: BackendSpec, known: Mapping[str, str]) -> None:
    """Returns nothing where every option of `spec` is a known one.

    Raises:
        ConfigError: one is not.
    """
    for key in spec.options:
        if key not in known:
            expected = f"expected one of {', '.join(known)}" if known else f"type {spec.type} has no options"
            raise ConfigError(f"backends.{spec.name}.{key}: unknown; {expected}")


def option(spec: BackendSpec, key: str, kind: type | tuple[type, ...], *, expected: str, default: Any = None) -> Any:
    """Returns the option `key`, or `default` where it is not given.

    Raises:
        ConfigError: it is of another kind than `kind`, which `expected` puts in words.
    """
    value = spec.options.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"backends.{spec.name}.{key}: expected {expected}, got {type(value).__name__}")
    return value


def text_mapping(spec: BackendSpec, key: str) -> dict[str, str]:
    """Returns an option that maps names to texts, such as `headers`.

    Raises:
        ConfigError: it is something else.
    """
    value = option(spec, key, Mapping, expected="names and texts", default={})
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise ConfigError(f"backends.{spec.name}.{key}: expected names and texts; {name!r} is not that")
        if "\n" in name + text or "\r" in name + text:
            raise ConfigError(f"backends.{spec.name}.{key}: {name!r}: a line break is not allowed")
    return dict(value)


def name_list(spec: BackendSpec, key: str) -> tuple[str, ...]:
    """Returns an option that lists names.

    Raises:
        ConfigError: it is something else.
    """
    value = option(spec, key, (list, tuple), expected="a list of names", default=())
    if not all(isinstance(name, str) for name in value):
        raise ConfigError(f"backends.{spec.name}.{key}: expected a list of names")
    return tuple(value)


def read_key(spec: BackendSpec) -> str:
    """Returns the key from the environment variable that `api_key_env` names; "" where none is named.

    Raises:
        ConfigError: the variable is not set, or what it holds cannot be a key.
    """
    if spec.api_key_env is None:
        return ""
    path = f"backends.{spec.name}.api_key_env: environment variable {spec.api_key_env}"
    key = os.environ.get(spec.api_key_env)
    if key is None:
        raise ConfigError(f"{path} is not set")
    key = key.strip()
    if not key:
        raise ConfigError(f"{path} is empty")
    if not key.isascii() or not key.isprintable():
        raise ConfigError(f"{path} holds a line break or a sign that a header cannot carry")
    return key


def read_base_url(spec: BackendSpec, default: str, *, path: str) -> str:
    """Returns the base URL, to which `path` is added, without a slash at its end.

    Raises:
        ConfigError: it is no http(s) URL, or ends in the path already.
    """
    url = (spec.base_url or default).rstrip("/")
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_secret = parts.username is not None
    except ValueError:
        is_valid = is_secret = False
    # The URL may hold a password, so neither message repeats it.
    if not is_valid or any(sign.isspace() for sign in url):
        raise ConfigError(f"backends.{spec.name}.base_url: expected a URL such as {default}")
    if is_secret:
        raise ConfigError(f"backends.{spec.name}.base_url: no user name or password is allowed; use api_key_env")
    if parts.path.rstrip("/").endswith(path):
        raise ConfigError(f"backends.{spec.name}.base_url: {path} is added to it; expected the address without")
    return url


def extended(url: str, path: str) -> str:
    """Returns a URL with more of a path; its query stays behind that.

    >>> extended("https://example.com/v1/?api-version=1", "/chat")
    'https://example.com/v1/chat?api-version=1'
    """
    parts = urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/") + path).geturl()
