"""What headers say of waits and limits."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.llm.http._refusals import Quota, RateSheet, duration, least_wait, rate_sheet
from transfer_prompting.runtime.llm.limits._rates import stated_rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("120ms", 0.12),
        ("1h2m", 3720),
        ("1m30.5s", 90.5),
        ("7.66ms", 0.00766),
        ("2m59.56s", 179.56),
        ("1d", 86400),
        ("90", 90),
        ("0.5", 0.5),
        (" 3 ", 3),
        ("0", 0),
    ],
)
def test_each_form_of_a_duration_is_read(text: str, seconds: float):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [None, "", "soon", "-1", "1x", "1s later", "nan", "inf", "1e9", "s", "0x10"])
def test_what_is_no_duration_is_none(text: str | None):
    assert duration(text) is None


def test_dates_count_from_the_answers_own_date():
    sent = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
    date = format_datetime(sent, usegmt=True)
    later = sent + timedelta(seconds=40)
    assert duration(format_datetime(later, usegmt=True), date) == 40
    assert duration("2026-03-01T12:00:40Z", date) == 40
    assert duration("2026-03-01T12:00:40+00:00", date) == 40
    assert duration("2026-03-01T11:59:00Z", date) == 0


def test_dates_without_a_reference_and_moments_since_1970_count_from_now():
    later = datetime.now(UTC) + timedelta(seconds=100)
    for text in (later.isoformat(), str(int(later.timestamp())), str(int(later.timestamp() * 1000))):
        assert duration(text) == pytest.approx(100, abs=2)


@given(st.text(max_size=20))
def test_no_text_breaks_it_and_no_wait_is_negative(text: str):
    assert (duration(text) or 0) >= 0


def test_milliseconds_go_before_seconds_and_both_before_resets():
    resets = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}
    assert least_wait({"retry-after-ms": "250", "retry-after": "1"} | resets) == 0.25
    assert least_wait({"retry-after": "1"} | resets) == 1
    assert least_wait(resets) == 360


def test_only_quotas_that_are_used_up_are_waited_for():
    headers = {
        "x-ratelimit-remaining-requests": "10",
        "x-ratelimit-reset-requests": "1h",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "120ms",
    }
    assert least_wait(headers) == 0.12
    assert least_wait({}) is None


def test_a_sheet_holds_what_the_endpoint_says():
    headers = {
        "x-ratelimit-limit-requests": "5000",
        "x-ratelimit-remaining-requests": "4999",
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-limit-tokens": "2000000",
    }
    assert rate_sheet(headers) == RateSheet(Quota(5000, 4999, 0.012), Quota(2_000_000))
    assert rate_sheet({"content-type": "application/json"}) is None


@pytest.mark.parametrize(
    ("quota", "per_second"),
    [
        (Quota(600, 599, 0.1), 10),  # a bucket of a minute
        (Quota(600, 400, 20), 10),
        (Quota(600), 10),
        (Quota(600, 600, 0), 10),
        (Quota(600, 599, 1), 10),  # a reset rounded up to a second
        (Quota(10, 4, 0.6), 10),  # per second
        (Quota(14400, 14370, 179.56), None),  # per day
        (Quota(1000, 999, 86.4), None),
        (Quota(), None),
        (Quota(0, 0, 1), None),
    ],
)
def test_a_limit_per_minute_is_told_from_one_per_second_or_day(quota: Quota, per_second: float | None):
    assert stated_rate(quota) == per_second
