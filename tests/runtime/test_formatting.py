"""Numbers as people read them."""

import pytest

from transfer_prompting.runtime.formatting import (
    excerpt,
    format_interval,
    format_number,
    format_p,
    format_seconds,
    format_usd,
    plural,
)


@pytest.mark.parametrize(
    ("value", "sign", "said"),
    [
        (0.5, False, "0.500"),
        (-0.25, False, "−0.250"),
        (0.25, True, "+0.250"),
        (-0.0001, True, "0.000"),
        (0.0, True, "0.000"),
        (None, True, "–"),
        (1234.5, False, "1,234.500"),
    ],
)
def test_numbers(value: float | None, sign: bool, said: str):
    assert format_number(value, sign=sign) == said


@pytest.mark.parametrize(
    ("p", "said"), [(0.0, "< 0.001"), (0.00099, "< 0.001"), (0.001, "0.001"), (None, "–")]
)
def test_a_p_value_is_never_zero(p: float | None, said: str):
    assert format_p(p) == said


def test_intervals_need_both_ends():
    assert format_interval(-0.1, 0.25, sign=True) == "[−0.100, +0.250]"
    assert format_interval(None, 0.25) == "–"


@pytest.mark.parametrize(
    ("usd", "said"), [(0.0, "$0.00"), (0.0123, "$0.0123"), (1234.5, "$1,234.50"), (None, "–")]
)
def test_dollars(usd: float | None, said: str):
    assert format_usd(usd) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.6, "5 s"), (99.6, "1:40 min"), (200, "3:20 min"), (7260, "2:01 h")]
)
def test_durations(seconds: float, said: str):
    assert format_seconds(seconds) == said


def test_texts():
    assert excerpt("one\n two", 20) == "one two"
    assert excerpt("a" * 30, 10) == "a" * 9 + "…"
    assert (plural(1, "row"), plural(1200, "row"), plural(2, "reply", "replies")) == (
        "1 row",
        "1,200 rows",
        "2 replies",
    )
