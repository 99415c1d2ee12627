from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from penstock.backends import InvalidRequest
from penstock.backends.local_sampling import Sampler, Sampling, choose_tokens, read_sampling

torch = pytest.importorskip("torch", reason="needs the extra `local`")

PROBABILITIES = (0.5, 0.3, 0.15, 0.05)
LOGITS = [math.log(probability) + 1 for probability in PROBABILITIES]


def draw(number: int, **settings: Any) -> Counter[int]:
    sampler = Sampler(Sampling(seed=7, **settings), prompt=[])
    return Counter(choose_tokens(torch.tensor([LOGITS]), [sampler])[0].token for _ in range(number))


def test_greedy_takes_the_likeliest_token() -> None:
    assert draw(3, temperature=0.0) == {0: 3}


def test_draws_follow_the_distribution() -> None:
    counts = draw(2000, temperature=1.0)
    assert [counts[token] / 2000 for token in range(4)] == pytest.approx(PROBABILITIES, abs=0.03)


def test_temperature_sharpens_the_distribution() -> None:
    squares = [probability**2 for probability in PROBABILITIES]
    counts = draw(2000, temperature=0.5)
    assert counts[0] / 2000 == pytest.approx(squares[0] / sum(squares), abs=0.03)


def test_top_p_keeps_the_fewest_tokens_that_reach_it() -> None:
    assert set(draw(300, temperature=1.0, top_p=0.79)) == {0, 1}
    assert set(draw(300, temperature=1.0, top_p=0.0)) == {0}


def test_top_k_keeps_that_many_tokens() -> None:
    assert set(draw(300, temperature=1.0, top_k=2)) == {0, 1}


def test_a_row_draws_the_same_alone_and_among_others() -> None:
    sampling = Sampling(temperature=1.0, seed=3)
    alone, together = Sampler(sampling, []), Sampler(sampling, [])
    others = [Sampler(Sampling(temperature=1.0, seed=place), []) for place in range(3)]
    for _ in range(20):
        single = choose_tokens(torch.tensor([LOGITS]), [alone])[0].token
        assert single == choose_tokens(torch.tensor([LOGITS] * 4), [*others, together])[-1].token


def test_what_is_told_of_a_token_is_the_models_own_before_temperature_and_filters() -> None:
    sampler = Sampler(Sampling(temperature=0.3, top_k=1, repetition_penalty=1.01), prompt=[0])
    [choice] = choose_tokens(torch.tensor([LOGITS]), [sampler])
    assert choice.logprob == pytest.approx(math.log(0.5))
    assert choice.entropy == pytest.approx(-sum(chance * math.log(chance) for chance in PROBABILITIES))
    assert choice.margin == pytest.approx(math.log(0.5 / 0.3))


def test_tokens_that_are_ruled_out_leave_numbers() -> None:
    [choice] = choose_tokens(torch.tensor([[3.0, -math.inf, -math.inf]]), [Sampler(Sampling(), prompt=[])])
    assert (choice.logprob, choice.entropy) == (0.0, 0.0)
    assert 1000 < choice.margin < math.inf


def test_repetition_penalty_makes_seen_tokens_less_likely() -> None:
    sampler = Sampler(Sampling(repetition_penalty=5.0), prompt=[0])
    chosen = [choose_tokens(torch.tensor([[2.0, 1.0, 0.5, -1.0]]), [sampler])[0].token for _ in range(3)]
    assert chosen == [1, 2, 0]


def test_what_the_caller_leaves_out_comes_from_the_model() -> None:
    defaults = Sampling(temperature=0.6, top_p=0.95, top_k=20, repetition_penalty=1.05)
    sampling = read_sampling({"temperature": 0, "top_p": None, "seed": 1}, defaults, backend="b")
    assert sampling == Sampling(temperature=0.0, top_p=0.95, top_k=20, repetition_penalty=1.05, seed=1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temperature": "hot"}, "b: temperature: expected a number from 0 to 100, not 'hot'"),
        ({"temperature": -1}, "b: temperature: expected a number from 0 to 100, not -1"),
        ({"top_p": 1.5}, "b: top_p: expected a number from 0 to 1, not 1.5"),
        ({"top_p": True}, "b: top_p: expected a number from 0 to 1, not True"),
        ({"seed": 1.5}, "b: seed: expected a whole number, not 1.5"),
    ],
)
def test_wrong_settings_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_sampling(params, Sampling(), backend="b")
    assert str(caught.value) == message
