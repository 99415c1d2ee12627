from __future__ import annotations

import pytest

from penstock.backends import Price, Usage, cost_usd

READ_AND_WRITTEN = Usage(
    input_tokens=1000, cached_input_tokens=400, cache_write_tokens=300, cache_write_1h_tokens=100, output_tokens=10
)


def test_every_part_of_the_input_has_its_own_price() -> None:
    price = Price(
        usd_per_1m_input=10,
        usd_per_1m_output=100,
        usd_per_1m_cached_input=1,
        usd_per_1m_cache_write=12.5,
        usd_per_1m_cache_write_1h=20,
    )
    parts = 300 * 10 + 400 * 1 + 200 * 12.5 + 100 * 20 + 10 * 100
    assert cost_usd(READ_AND_WRITTEN, price) == pytest.approx(parts / 1e6)


def test_without_prices_of_a_cache_all_input_costs_the_same() -> None:
    price = Price(usd_per_1m_input=10, usd_per_1m_output=100)
    assert cost_usd(READ_AND_WRITTEN, price) == pytest.approx((1000 * 10 + 10 * 100) / 1e6)


def test_what_is_kept_for_an_hour_costs_as_other_writing_unless_it_has_a_price() -> None:
    price = Price(usd_per_1m_input=10, usd_per_1m_output=100, usd_per_1m_cache_write=20)
    assert cost_usd(Usage(cache_write_tokens=5, cache_write_1h_tokens=5), price) == pytest.approx(100 / 1e6)
