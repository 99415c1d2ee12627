"""Looks up what a model costs, for `price: auto`."""

from __future__ import annotations

import difflib
import importlib.metadata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .errors import ConfigError
from .spec import Price

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot

PACKAGE = "genai-prices"


def price_of(model: str, *, provider: str | None = None) -> Price:
    """Returns the price of a model by the table that the package `genai-prices` brings along, without a network.

    `provider` is a provider's name (`openai`) or its base URL; without one, the maker of the model is meant.
    Where a price depends on the length of the prompt, it is the price of short ones.

    Raises:
        ConfigError: the table does not have the model, or does not price it by tokens.
    """
    from genai_prices.data_snapshot import get_snapshot  # a large table, for those who ask for it

    snapshot = get_snapshot()
    is_url = provider is not None and "://" in provider
    try:
        _, found = snapshot.find_provider_model(model, None, None if is_url else provider, provider if is_url else None)
    except LookupError as error:
        at = f" at {provider}" if provider else ""
        raise ConfigError(f"price: no price is known for model {model!r}{at}; {_advice(snapshot, model)}") from error
    prices = found.get_prices(datetime.now(UTC))
    usd_per_1m_input, usd_per_1m_output = _usd(prices.input_mtok), _usd(prices.output_mtok)
    if usd_per_1m_input is None or usd_per_1m_output is None:
        raise ConfigError(f"price: model {model!r} is not priced by tokens; write its price as {{input, output}}")
    return Price(
        usd_per_1m_input=usd_per_1m_input,
        usd_per_1m_output=usd_per_1m_output,
        usd_per_1m_cached_input=_usd(prices.cache_read_mtok),
        usd_per_1m_cache_write=_usd(prices.cache_write_mtok),
        usd_per_1m_cache_write_1h=_usd(prices.cache_write_1h_mtok),
    )


def price_table_version() -> str:
    """Returns which table `price_of` reads, such as `genai-prices 0.2.3`."""
    return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"


def _usd(price: Any) -> float | None:
    """Returns a price as a number; of a price by tiers, the first."""
    return None if price is None else float(getattr(price, "base", price))


def _advice(snapshot: DataSnapshot, model: str) -> str:
    names = {known.id.lower(): f"{known.id} ({owner.id})" for owner in snapshot.providers for known in owner.models}
    near = difflib.get_close_matches(model.lower(), names, n=3)
    write = "write its price as {input, output} in USD per 1M tokens"
    return f"did you mean {', '.join(names[name] for name in near)}? Or {write}" if near else write
