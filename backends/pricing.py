"""What a call costs."""

from __future__ import annotations

from .spec import Price
from .types import Usage


def cost_usd(usage: Usage, price: Price) -> float:
    """Returns the price of one call; input read from or written to a cache is counted once, at its own price.

    >>> cost_usd(Usage(input_tokens=1000, output_tokens=500), Price(usd_per_1m_input=1, usd_per_1m_output=4))
    0.003
    """
    read, written = usage.cached_input_tokens, usage.cache_write_tokens
    total = max(usage.input_tokens - read - written, 0) * price.usd_per_1m_input
    if read:
        total += read * _either(price.usd_per_1m_cached_input, price.usd_per_1m_input)
    if written:
        kept, write_price = usage.cache_write_1h_tokens, _either(price.usd_per_1m_cache_write, price.usd_per_1m_input)
        total += (written - kept) * write_price
        total += kept * _either(price.usd_per_1m_cache_write_1h, write_price)
    return (total + usage.output_tokens * price.usd_per_1m_output) / 1e6


def _either(price: float | None, other: float) -> float:
    return other if price is None else price
