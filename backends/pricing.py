"""What a call costs."""

from __future__ import annotations

from .spec import Price
from .types import Usage


def cost_usd(usage: Usage, price: Price) -> float:
    """Returns the price of one call; input read from or written to a cache is counted once, at its own price.

    >>> cost_usd(Usage(input_tokens=1000, output_tokens=500), Price(usd_per_1m_input=1, usd_per_1m_output=4))
    0.003
    """
    read, written, kept = usage.cached_input_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens
    write_price = _either(price.usd_per_1m_cache_write, price.usd_per_1m_input)
    total = (
        max(usage.input_tokens - read - written, 0) * price.usd_per_1m_input
        + read * _either(price.usd_per_1m_cached_input, price.usd_per_1m_input)
        + (written - kept) * write_price
        + kept * _either(price.usd_per_1m_cache_write_1h, write_price)
        + usage.output_tokens * price.usd_per_1m_output
    )
    return total / 1e6


def _either(price: float | None, other: float) -> float:
    return other if price is None else price
