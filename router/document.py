"""A YAML document read with care, and sections of it that know their own path for error messages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, overload
from urllib.parse import urlsplit

from ..backends import ConfigError

_MAX_BYTES = 1_000_000
_MAX_NODES = 100_000
_SHOWN = 60  # characters of a wrong value that an error repeats
_NAME = re.compile(r"[A-Za-z0-9][\w.:/+-]*", re.ASCII)  # as it may stand in a header and in a path `a>b`
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", re.ASCII)  # a number in YAML 1.2, but a text to PyYAML
_Choice = TypeVar("_Choice", bound=str)


def read_bytes(path: Path) -> bytes:
    """Returns what is in a file.

    Raises:
        ConfigError: it cannot be read, or is larger than a configuration can be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: too large for a configuration; expected at most {_MAX_BYTES} bytes")
    return data


def parse_yaml(data: bytes, path: Path) -> Mapping[str, Any]:
    """Returns the mapping in a YAML file with these bytes.

    Raises:
        ConfigError: it is not YAML, repeats a key, or unfolds to more than a configuration can hold.
    """
    import yaml

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path.name}: line {line}: not UTF-8") from error
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        _check_nodes(node, path.name)
        document = None if node is None else loader.construct_document(node)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{path.name}: line {line}: not YAML: the sign U+{ord(text[error.position]):04X}") from error
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(f"{path.name}: {where}not YAML: {error.problem or error.context}") from error
    except RecursionError as error:
        raise ConfigError(f"{path.name}: not a configuration: nested too deeply") from error
    except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as error:
        # PyYAML raises these for a value that does not fit its tag, such as the date 2024-13-01.
        raise ConfigError(f"{path.name}: not YAML: a value does not fit its tag: {error}") from error
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

    def __iter__(self) -> Iterator[str]:
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
            if not is_name(name):
                raise self.error(key, f"{_shown(name)} is not a name; expected {NAME_SIGNS}")
        return [(name, outer.section(name)) for name in outer._values]

    def items(self, key: str) -> list[Section]:
        """Returns the mappings listed under a key; none where it is not there."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, list):
            raise self.error(key, f"expected a list, got {_kind(value)}")
        outer = ".".join(part for part in (self._path, key) if part)
        for place, item in enumerate(value or ()):
            if not isinstance(item, dict):
                raise self.error(f"{key}[{place}]", f"expected a mapping, got {_kind(item)}")
        return [Section(item, source=self.source, path=f"{outer}[{place}]") for place, item in enumerate(value or ())]

    def text(self, key: str, *, default: str = "", required: bool = False) -> str:
        """Returns a text."""
        value = self._values.get(key)
        if value is None:
            if required:
                raise self.error(key, "missing; expected a text")
            return default
        if not isinstance(value, str) or (required and not value):
            raise self.error(key, f"expected a text, got {_not_text(value)}")
        return value

    def variable(self, key: str) -> str | None:
        """Returns the name of an environment variable; anything else may be a key, so the error does not repeat it."""
        value = self.text(key)
        if value and not _VARIABLE.fullmatch(value):
            raise self.error(key, "expected the name of an environment variable, such as OPENAI_API_KEY, not its value")
        return value or None

    def choice(self, key: str, allowed: Sequence[_Choice], *, default: _Choice) -> _Choice:
        """Returns one of the allowed words."""
        value = self._values.get(key, default)
        for word in allowed:
            if word == value:
                return word
        raise self.error(key, f"unknown {_shown(value)}; expected one of {', '.join(allowed)}")

    def names(self, key: str, *, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Returns a list of distinct texts."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, list):
            raise self.error(key, f"expected a list of texts, got {_kind(value)}")
        for item in value:
            if not isinstance(item, str) or not item:
                raise self.error(key, f"expected a list of texts, one is {_not_text(item)}")
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
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address:  # it may hold a password, so the error does not repeat it
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
            raise self.error(key, f"expected a whole number of {least} or more, got {_shown(value)}")
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
        number = _number(value)
        if (
            not math.isfinite(number)
            or (least is not None and number < least)
            or (most is not None and number > most)
            or (above is not None and number <= above)
        ):
            raise self.error(key, f"{expected}, got {_shown(value)}")
        return number


NAME_SIGNS = "letters, digits and the signs . _ - : / +"


def is_name(value: object) -> bool:
    """Returns whether a value can name a backend, a policy or an effort."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _number(value: Any) -> float:
    """Returns the number that a value is, NaN where it is none."""
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), _shown(value))


def _not_text(value: Any) -> str:
    # YAML reads `off` and `no` as false, 2024-01-01 as a date.
    return _kind(value) if isinstance(value, str | dict | list | None) else f"{_kind(value)}; put it in quotes"


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python does not write out whole numbers of thousands of digits
        text = "a number of very many digits"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
