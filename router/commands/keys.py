"""`penstock keys`: API keys of the sidecar."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from ...backends import ConfigError
from ..config import Config, read_config
from ..keys import Claim, Key, Store, new_key, open_store
from ..keys.limits import limits_of
from .shared import add_json, add_models, positive, print_json

_LIMITS = {"rpm": "requests a minute", "tpm": "tokens a minute"}
_BUDGETS = {"budget_usd_day": "a day", "budget_usd_month": "a month"}
_CREATE = "penstock keys create team-search --backends small,lrm --rpm 600 --budget-usd-day 5"


class KeysCommand:
    """Creates, lists and revokes keys in the file that models.yaml names."""

    description = "API keys of the sidecar, in the file that `keys: {file: ...}` of models.yaml names."
    example = _CREATE

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
        create = _add_action(actions, "create", _create, "make a key, which is shown this once", example=_CREATE)
        create.add_argument("name", metavar="NAME", type=_name, help="whose it is; shown in lists and logs")
        create.add_argument(
            "--policies", metavar="A,B", type=_names, default=(), help="may ask for these (default: all)"
        )
        create.add_argument("--backends", metavar="A,B", type=_names, default=(), help="may use these (default: all)")
        for name, what in _LIMITS.items():
            create.add_argument(f"--{name}", metavar="N", type=positive, help=f"most {what}")
        for name, what in _BUDGETS.items():
            option = f"--{name.replace('_', '-')}"
            create.add_argument(option, metavar="X", type=_amount, help=f"most to spend {what}, in USD")
        create.add_argument(
            "--sees-all", action="store_true", help="may see the requests of every key on the page, and /metrics"
        )
        _add_action(actions, "list", _list, "show keys, and what they have spent", example="penstock keys list")
        revoke = _add_action(
            actions, "revoke", _revoke, "end a key at once", example="penstock keys revoke team-search"
        )
        revoke.add_argument("name", metavar="NAME", help="name of the key, or its id where none has that name")

    def run(self, options: argparse.Namespace) -> int:
        """Does what was asked for."""
        config = read_config(options.models)
        if config.keys is None:
            raise ConfigError(f"{config.path.name}: keys: missing; add `keys: {{file: penstock-keys.db}}`")
        act: _Act = options.act
        with closing(open_store(config.keys)) as store:
            act(options, config, store)
        return 0


_Act = Callable[[argparse.Namespace, Config, Store], None]


def _add_action(actions: Any, name: str, act: _Act, summary: str, *, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_models(parser)
    add_json(parser)
    parser.set_defaults(act=act)
    return parser


def _create(options: argparse.Namespace, config: Config, store: Store) -> None:
    """Prints a new key; nobody can print it again."""
    for option, known in (("policies", config.policies), ("backends", config.backends)):
        for name in getattr(options, option):
            if name not in known:
                raise ConfigError(f"--{option}: unknown {name!r:.80}; expected some of {', '.join(known)}")
    if any(key.name == options.name and key.revoked_at is None for key in store.all_keys()):
        raise ConfigError(f"a key named {options.name!r} is there already; revoke it, or take another name")
    given = {name: getattr(options, name) for name in ("policies", "backends", "sees_all", *_LIMITS, *_BUDGETS)}
    key, text = new_key(Key(id="", name=options.name, digest="", created_at=time.time(), **given))
    store.put(key)
    if options.json:
        print_json({"key": text, **_as_dict(key)})
        return
    print(text)
    print("penstock: this key is shown only now; only its hash is kept", file=sys.stderr)


def _list(options: argparse.Namespace, config: Config, store: Store) -> None:
    """Prints every key."""
    now = time.time()
    rows = [{**_as_dict(key), **_spent(key, store, now)} for key in store.all_keys()]
    if options.json:
        print_json({"keys": rows})
        return
    if not rows:
        print("no keys; make one with `penstock keys create NAME`")
    for row in rows:
        print(_line(row))


def _revoke(options: argparse.Namespace, config: Config, store: Store) -> None:
    """Ends the key of a name, or where there is none, the one of an id: a key may be named as another's id."""
    in_use = [key for key in store.all_keys() if key.revoked_at is None]
    found = [key for key in in_use if key.name == options.name] or [key for key in in_use if key.id == options.name]
    if not found:
        raise ConfigError(f"no key in use has the name or id {options.name!r:.80}; see `penstock keys list`")
    revoked = [replace(key, revoked_at=time.time()) for key in found]
    for key in revoked:
        store.put(key)
    if options.json:
        print_json({"revoked": [_as_dict(key) for key in revoked]})
        return
    for key in revoked:
        print(f"revoked {key.name} ({key.id})")


def _as_dict(key: Key) -> dict[str, Any]:
    """Returns what may be told of a key."""
    return {name: value for name, value in asdict(key).items() if name != "digest"}


def _spent(key: Key, store: Store, now: float) -> dict[str, float]:
    """Returns what a key has spent in this day and month."""
    limits = [limit for limit in limits_of(key, now) if limit.unit == "usd"]
    claims = [Claim(counter=limit.counter, amount=0.0, expires_at=limit.ends_at) for limit in limits]
    totals: Sequence[float] = store.charge(claims, now=now)
    return {f"spent_usd_{limit.window}": total for limit, total in zip(limits, totals, strict=True)}


def _line(row: dict[str, Any]) -> str:
    parts = [f"{row['name']} ({row['id']})", f"made {_day(row['created_at'])}"]
    parts += [f"{name} {','.join(row[name])}" for name in ("policies", "backends") if row[name]]
    parts += [f"{row[name]} {what}" for name, what in _LIMITS.items() if row[name] is not None]
    for name, when in (("budget_usd_day", "today"), ("budget_usd_month", "this month")):
        most = "" if row[name] is None else f" of ${row[name]:g}"
        parts.append(f"spent ${row[name.replace('budget', 'spent')]:.6f}{most} {when}")
    if row["sees_all"]:
        parts.append("sees all")
    if row["revoked_at"] is not None:
        parts.append(f"revoked {_day(row['revoked_at'])}")
    return "; ".join(parts)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected a name of printable characters, got {text!r}")
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:  # an empty list would mean all
        raise argparse.ArgumentTypeError(f"expected names separated by commas, got {text!r}")
    return names


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not (amount > 0 and math.isfinite(amount)):
        raise argparse.ArgumentTypeError(f"expected an amount above 0, got {text!r}")
    return amount
