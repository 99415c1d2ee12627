"""What `model` may be, as a list that both OpenAI's and Anthropic's clients read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .config import Config


def model_names(config: Config) -> list[str]:
    """Returns what `model` may be: policies, the default one foremost, and backends that can be asked by themselves."""
    policies = sorted(config.policies, key=lambda name: name != config.default_policy)
    return [*policies, *(name for name, spec in config.backends.items() if not spec.checks_draft)]


def model_list(config: Config, *, created: int) -> dict[str, Any]:
    """Returns the list of what `model` may be, see `model_names`."""
    owners = dict.fromkeys(config.policies, "penstock") | {name: spec.type for name, spec in config.backends.items()}
    data = [_model(name, owners[name], created) for name in model_names(config)]
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def _model(name: str, owner: str, created: int) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": owner,
        "type": "model",
        "display_name": name,
        "created_at": datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z"),
    }
