"""Numbers as people read them."""

import pytest

from transfer_prompting.runtime.formatting import format_number, format_p, format_percent


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [(None, False, "–"), (0.12345, False, "0.123"), (0.1, True, "+0.100"), (-0.0001, False, "0.000")],
)
def test_a_number_has_three_decimals_and_what_is_unknown_a_dash(value: float | None, sign: bool, text: str):
    assert format_number(value, sign=sign) == text


def test_a_share_is_shown_as_a_percentage():
    assert format_percent(0.5) == "50.0%"
    assert format_percent(None) == "–"


@pytest.mark.parametrize(("p", "text"), [(0.0, "< 0.001"), (0.0004, "< 0.001"), (0.28, "0.280"), (None, "–")])
def test_a_p_value_is_never_rounded_to_zero(p: float | None, text: str):
    assert format_p(p) == text
