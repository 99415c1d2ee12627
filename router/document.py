"""A YAML document read with care, and sections of it that know their own path for error messages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, overload
from urllib.parse import urlsplit

from ..backends import ConfigError

_MAX_BYTES = 1_000_000
_MAX_NODES = 100_000
_Choice = TypeVar("_Choice", bound=str)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Returns the mapping in a YAML file.

    Raises:
        ConfigError: it cannot be read, is not YAML, repeats a key, or unfolds to more than a configuration can hold.
    """
    import yaml

    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: {len(data)} bytes are too many for a configuration; expected at most {_MAX_BYTES}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path.name}: line {line}: not UTF-8") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_nodes(node, path.name)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path.name}: {where}not YAML: {getattr(error, 'problem', None) or error}") from error
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"{path.name}: not a configuration: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path.name}: expected a mapping with the key `backends`, got {_kind(document)}")
    return document


def _check_nodes(root: Any, name: str) -> None:
    """Refuses repeated keys, loops of aliases, and aliases that multiply beyond reason (a 'YAML bomb')."""
    import yaml

    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size_of(node: Any) -> int:
        key = id(node)
        if key in open_nodes:
            raise ConfigError(f"{name}: line {node.start_mark.line + 1}: an alias refers to what contains it")
        if key in sizes:
            return sizes[key]
        open_nodes.add(key)
        total = 1
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key_node, value_node in node.value:
                if isinstance(key_node, yaml.ScalarNode):
                    if key_node.value in seen:
                        line = key_node.start_mark.line + 1
                        raise ConfigError(f"{name}: line {line}: the key {key_node.value!r} appears twice")
                    seen.add(key_node.value)
                total += size_of(key_node) + size_of(value_node)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(size_of(item) for item in node.value)
        open_nodes.remove(key)
        if total > _MAX_NODES:
            raise ConfigError(f"{name}: unfolds to more than {_MAX_NODES} values; aliases multiply them")
        sizes[key] = total
        return total

    if root is not None:
        size_of(root)


class Section:
    """One mapping of a document. Every reader names file, path and what is allowed when it refuses."""

    def __init__(self, values: Mapping[str, Any], *, source: str, path: str) -> None:
        self._values = values
        self.source = source
        self._path = path

    def error(self, key: str, message: str) -> ConfigError:
        """Returns the error to raise about one key, or about the section where key is ''."""
        where = ".".join(part for part in (self._path, key) if part)
        return ConfigError(f"{self.source}: {where}: {message}" if where else f"{self.source}: {message}")

    def keys(self) -> Iterator[str]:
        """Returns the keys that are there."""
        return iter(self._values)

    def has(self, key: str) -> bool:
        """Returns whether the key is there with a value."""
        return self._values.get(key) is not None

    def raw(self, key: str) -> Any:
        """Returns the value as it was read."""
        return self._values.get(key)

    def only(self, known: Sequence[str]) -> None:
        """Refuses every key that is not known."""
        for key in self._values:
            if key not in known:
                raise self.error(str(key), f"unknown key; expected one of {', '.join(known)}")

    def section(self, key: str) -> Section:
        """Returns the mapping under a key; an empty one where there is none."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.error(key, f"expected a mapping, got {_kind(value)}")
        return Section(value or {}, source=self.source, path=".".join(part for part in (self._path, key) if part))

    def sections(self, key: str, *, required: bool = False) -> list[tuple[str, Section]]:
        """Returns the named mappings under a key."""
        outer = self.section(key)
        if required and not outer._values:
            raise self.error(key, "missing; expected at least one entry, name: {...}")
        for name in outer._values:
            if not isinstance(name, str) or not name or any(c.isspace() or c in ",>!" for c in name):
                raise self.error(key, f"{name!r} is not a name; expected text without spaces, commas, '>' and '!'")
        return [(name, outer.section(name)) for name in outer._values]

    def text(self, key: str, *, default: str = "", required: bool = False) -> str:
        """Returns a text."""
        value = self._values.get(key)
        if value is None:
            if required:
                raise self.error(key, "missing; expected a text")
            return default
        if isinstance(value, bool) and key == "effort":  # YAML reads `off` and `no` as false
            raise self.error(key, "expected a text; put it in quotes")
        if not isinstance(value, str) or (required and not value):
            raise self.error(key, f"expected a text, got {_kind(value)}")
        return value

    def choice(self, key: str, allowed: Sequence[_Choice], *, default: _Choice) -> _Choice:
        """Returns one of the allowed words."""
        value = self._values.get(key, default)
        for word in allowed:
            if word == value:
                return word
        raise self.error(key, f"unknown {value!r}; expected one of {', '.join(allowed)}")

    def names(self, key: str, *, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Returns a list of distinct texts."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.error(key, f"expected a list of texts, got {_kind(value)}")
        if len(set(value)) < len(value):
            raise self.error(key, "names one twice")
        return tuple(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """Returns true or false."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"expected true or false, got {_kind(value)}")
        return value

    def url(self, key: str) -> str | None:
        """Returns an http or https address without its trailing slash."""
        value = self.text(key)
        if not value:
            return None
        try:
            parts = urlsplit(value)
            host = parts.hostname
        except ValueError as error:
            raise self.error(key, f"not an address: {error}") from error
        if parts.scheme not in ("http", "https") or not host:
            raise self.error(key, "expected an address such as https://api.example.com/v1")
        return value.rstrip("/")

    @overload
    def integer(self, key: str, *, least: int, default: None = None) -> int | None: ...
    @overload
    def integer(self, key: str, *, least: int, default: int) -> int: ...
    def integer(self, key: str, *, least: int, default: int | None = None) -> int | None:
        """Returns a whole number."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.error(key, f"expected a whole number of {least} or more, got {value!r}")
        return value

    def number(
        self,
        key: str,
        *,
        default: float = math.nan,
        required: Literal[True, False] = False,
        least: float | None = None,
        most: float | None = None,
        above: float | None = None,
    ) -> float:
        """Returns a finite number within its bounds."""
        value = self._values.get(key)
        if value is None and not required:
            return default
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("above", above), ("from", least), ("to", most))
            if bound is not None
        ]
        expected = " ".join(["expected a number", *bounds])
        if value is None:
            raise self.error(key, f"missing; {expected}")
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if (
            not is_number
            or (least is not None and value < least)
            or (most is not None and value > most)
            or (above is not None and value <= above)
        ):
            raise self.error(key, f"{expected}, got {value!r}")
        return float(value)


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), repr(value))
