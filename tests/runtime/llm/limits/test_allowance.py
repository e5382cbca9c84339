"""Calls in flight, rates and pauses, outcome by outcome, by a clock moved by hand."""

import pytest

from transfer_prompting.runtime.errors import (
    CallFailed,
    ParameterRefused,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from transfer_prompting.runtime.llm.chat import ChatResponse, Usage
from transfer_prompting.runtime.llm.http._refusals import Quota, RateSheet
from transfer_prompting.runtime.llm.limits._allowance import Window
from transfer_prompting.runtime.llm.limits.limiter import Limiter, Limiters
from transfer_prompting.scenarios.endpoints import Limits

from support.load import asking

REQUEST = asking("x" * 96, max_tokens=50)


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError


class Endpoint:
    """A limiter whose calls start and end one by one; numbers of calls begin with 1."""

    def __init__(self, concurrency: int = 64, rpm: int | None = None, tpm: int | None = None) -> None:
        self.clock = Hand()
        limits = Limits(concurrency=concurrency, requests_per_minute=rpm, tokens_per_minute=tpm)
        self.limits = Limiter(limits, self.clock)

    def start(self, most: int = 1, tokens: float = 0.0) -> int:
        """Start so many calls at most; the number of those that may start."""
        return sum(self.limits.enter(tokens) is not None for _ in range(most))

    def serve(self, *numbers: int, tokens: float = 0.0, usage: Usage | None = None) -> None:
        response = ChatResponse(text="ok", usage=usage or Usage(), seconds=0.1)
        for number in numbers:
            self.limits.served(number, tokens, REQUEST, response)

    def refuse(self, *numbers: int, retry_after: float | None = 20, tokens: float = 0.0) -> None:
        for number in numbers:
            self.limits.failed(number, tokens, RateLimited("slow down", retry_after=retry_after, status=429))

    def fail(self, number: int, error: CallFailed) -> None:
        self.limits.failed(number, 0.0, error)

    @property
    def state(self) -> tuple[float, int, float | None]:
        """The pause, the episodes, and the requests per minute."""
        now = self.limits.now()
        return now.paused_for, now.episodes, now.requests_per_minute


def sizes(window: Window, served: int) -> list[int]:
    found: list[int] = []
    for _ in range(served):
        window.served(window.size)
        found.append(window.size)
    return found


def test_the_window_doubles_a_round_and_after_an_overload_grows_by_one_a_round():
    window = Window(100)
    assert window.size == 16
    assert sizes(window, 16)[-1] == 32
    window.cut()
    assert window.size == 22
    assert sizes(window, 22)[-1] == 23
    assert sizes(window, 23)[-1] == 24


def test_the_window_keeps_to_the_most_and_to_one_and_grows_only_while_it_limits():
    window = Window(20)
    window.served(15)
    assert window.size == 16
    assert sizes(window, 6) == [17, 18, 19, 20, 20, 20]
    for _ in range(9):
        window.cut()
    assert window.size == 1
    assert sizes(window, 2) == [2, 2]
    assert Window(5).size == 5


def test_without_limits_as_many_calls_start_as_the_window_allows():
    endpoint = Endpoint()
    assert endpoint.start(20) == 16
    now = endpoint.limits.now()
    assert (now.in_flight, now.waiting, now.window, now.rejections) == (16, 0, 16, 0)
    assert (now.requests_per_minute, now.tokens_per_minute) == (None, None)
    endpoint.serve(1, 2)
    assert endpoint.limits.now().in_flight == 14
    assert endpoint.limits.now().window == 17
    assert endpoint.limits.estimate(REQUEST) == 0.0


def test_it_goes_by_real_time_where_no_clock_is_given():
    assert Limiter(Limits()).has_room()


def test_refusals_without_a_retry_after_pause_twice_as_long_each_time_until_a_call_is_served():
    endpoint, pauses = Endpoint(), list[float]()
    for number in range(1, 9):
        endpoint.clock.time += 1000
        assert endpoint.start() == 1
        endpoint.refuse(number, retry_after=None)
        pauses.append(endpoint.state[0])
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert endpoint.limits.now().rejections == 8
    endpoint.clock.time += 1000
    assert endpoint.start() == 1
    endpoint.serve(9)
    endpoint.clock.time += 1000
    assert endpoint.start() == 1
    endpoint.refuse(10, retry_after=None)
    assert endpoint.state[0] == 0.5


def test_the_seventh_episode_of_unknown_cause_is_taken_for_that_of_a_limit():
    endpoint = Endpoint()
    for number in range(1, 8):
        assert endpoint.state[2] is None
        endpoint.clock.time += 1000
        endpoint.start()
        endpoint.refuse(number, retry_after=None)
    # One call in flight, of unknown duration: an eighth of one a second; and the window is cut.
    assert endpoint.state[1:] == (7, pytest.approx(60 / 8))
    assert endpoint.limits.now().window == 11


def test_a_pause_is_the_longest_that_was_asked_for_and_ends_in_time():
    endpoint = Endpoint()
    endpoint.start(3)
    endpoint.refuse(1, retry_after=5)
    endpoint.refuse(2, retry_after=2)
    assert endpoint.state == (5, 1, None)
    endpoint.clock.time += 4
    assert endpoint.state[0] == 1
    assert not endpoint.limits.has_room()
    assert endpoint.start() == 0
    endpoint.clock.time += 1
    assert endpoint.limits.has_room()
    assert endpoint.start() == 1


def test_a_limit_shows_by_three_refusals_of_calls_sent_on_and_an_eighth_of_the_burst_is_tried():
    endpoint = Endpoint()
    endpoint.start(12)
    endpoint.serve(1, 2)
    endpoint.refuse(3)
    endpoint.refuse(4, 5)
    assert endpoint.state == (20, 1, None)
    endpoint.refuse(6)
    # Ten were in flight at the first refusal, each of a tenth of a second.
    assert endpoint.state == (20, 1, pytest.approx(60 * 100 / 8))
    assert endpoint.limits.now().window == 16
    endpoint.refuse(7)
    assert endpoint.state == (20, 1, pytest.approx(60 * 100 / 8))
    endpoint.clock.time += 20
    assert endpoint.start(9) == 1
    endpoint.clock.time += 0.09
    assert endpoint.start(9) == 1


def test_a_limit_without_a_retry_after_cuts_the_window_too():
    endpoint = Endpoint()
    endpoint.start(12)
    endpoint.refuse(1, 2, 3, 4, retry_after=None)
    assert endpoint.state == (0.5, 1, pytest.approx(60 * 12 / 8))
    assert endpoint.limits.now().window == 11


def test_random_refusals_show_by_four_served_calls_and_pause_nobody_from_then_on():
    endpoint = Endpoint()
    endpoint.start(12)
    endpoint.refuse(3)
    endpoint.serve(1, 2, 4, 5, 6)
    assert endpoint.state[:2] == (20, 1)
    endpoint.serve(7)
    assert endpoint.state == (0, 1, None)
    endpoint.refuse(8)
    assert endpoint.state == (0, 1, None)
    assert endpoint.limits.now().rejections == 2
    assert endpoint.limits.has_room()


def test_what_starts_after_an_episode_of_unknown_cause_is_eight_at_once_and_one_more_for_every_two_served():
    endpoint = Endpoint()
    endpoint.start(12)
    endpoint.refuse(1, 2, retry_after=1)
    endpoint.clock.time += 1
    assert endpoint.start() == 0
    endpoint.refuse(3, retry_after=0)
    endpoint.serve(4, 5)
    assert endpoint.limits.now().in_flight == 7
    assert endpoint.start(9) == 2
    assert endpoint.state[1] == 1


def probing() -> Endpoint:
    """An endpoint whose first call is refused before any other has started."""
    endpoint = Endpoint()
    endpoint.start()
    endpoint.refuse(1)
    return endpoint


def test_a_refusal_with_no_call_sent_on_is_followed_by_four_probes_despite_the_pause():
    endpoint = probing()
    assert endpoint.start(9) == 0
    endpoint.clock.time += 0.025
    assert not endpoint.limits.has_room()
    assert endpoint.start(9) == 4
    endpoint.serve(2, 3, 4)
    assert endpoint.state[0] > 19
    endpoint.serve(5)
    assert endpoint.state == (0, 1, None)


def test_probes_are_sent_beside_the_calls_in_flight_and_not_once_the_pause_is_over():
    endpoint = Endpoint()
    endpoint.start(12)
    endpoint.refuse(12)
    endpoint.clock.time += 0.025
    assert endpoint.start(9) == 4
    endpoint = probing()
    endpoint.clock.time += 20
    assert endpoint.start(20) == 8


def test_the_last_call_before_the_pause_is_evidence_too():
    endpoint = Endpoint()
    endpoint.start(4)
    endpoint.refuse(1, 2, 3)
    assert endpoint.state[2] is None
    endpoint.refuse(4)
    assert endpoint.state[2] is not None


def test_probes_that_are_refused_show_a_limit_when_all_have_ended():
    endpoint = probing()
    endpoint.clock.time += 0.025
    endpoint.start(9)
    endpoint.refuse(2, 3, 4)
    assert endpoint.state[2] is None
    endpoint.refuse(5)
    assert endpoint.state == (20, 1, pytest.approx(60 / 8))
    assert endpoint.start(9) == 0


def test_while_probes_do_not_decide_there_are_four_rounds_of_them():
    endpoint, first = probing(), 2
    endpoint.clock.time += 0.025
    for refused in (2, 1, 2, 1):
        assert endpoint.start(9) == 4
        numbers = range(first, first + 4)
        endpoint.refuse(*numbers[:refused])
        endpoint.serve(*numbers[refused:])
        assert endpoint.state == (20, 1, None)
        first += 4
    assert endpoint.start(9) == 0
    endpoint.clock.time += 20
    assert endpoint.start(9) > 4


def test_a_long_pause_is_not_probed():
    endpoint = Endpoint()
    endpoint.start()
    endpoint.refuse(1, retry_after=31)
    endpoint.clock.time += 0.025
    assert endpoint.start(9) == 0


def test_a_refusal_with_calls_sent_on_is_not_probed():
    endpoint = Endpoint()
    endpoint.start(2)
    endpoint.refuse(1)
    endpoint.clock.time += 0.025
    assert endpoint.start(9) == 0


def test_refusals_under_a_declared_rate_are_random_until_three_in_a_row():
    endpoint = Endpoint(rpm=600)
    for number in (1, 2):
        assert endpoint.start(9) == 1
        endpoint.refuse(number)
        assert endpoint.state == (0, 0, pytest.approx(591))
        assert endpoint.start() == 0
        endpoint.clock.time += 0.102
    endpoint.start()
    endpoint.refuse(3)
    # One call in flight, of unknown duration, is a burst of one a second.
    assert endpoint.state == (20, 1, pytest.approx(60 / 8))


def test_a_declared_rate_that_is_a_limit_too_high_is_lowered_by_less_than_a_third():
    endpoint = Endpoint(rpm=600)
    endpoint.start()
    endpoint.serve(1)
    for number in range(2, 6):
        endpoint.clock.time += 1
        endpoint.start()
        endpoint.refuse(number)
    assert endpoint.state[1:] == (1, pytest.approx(591 * 0.7))
    assert endpoint.limits.now().window == 64


def test_an_overload_shrinks_the_window_once_for_all_calls_that_had_started():
    endpoint = Endpoint()
    endpoint.start(16)
    busy = ServerFault("busy", status=503)
    endpoint.fail(3, busy)
    endpoint.fail(16, busy)
    assert (endpoint.limits.now().window, endpoint.limits.now().episodes) == (11, 1)
    endpoint.start()
    endpoint.fail(17, busy)
    assert (endpoint.limits.now().window, endpoint.limits.now().episodes) == (7, 2)


@pytest.mark.parametrize(
    "error", [ServerFault("x", status=500), ServerFault("x", status=504), Unreachable("x"), Rejected("x")]
)
def test_other_failures_change_nothing_but_the_calls_in_flight(error: CallFailed):
    endpoint = Endpoint(tpm=6000)
    endpoint.start(1, tokens=197)
    endpoint.fail(1, error)
    now = endpoint.limits.now()
    assert (now.in_flight, now.window, now.episodes, now.rejections) == (0, 64, 0, 0)
    endpoint.clock.time += 1.9
    assert endpoint.start() == 0
    endpoint.clock.time += 0.2
    assert endpoint.start() == 1


@pytest.mark.parametrize("error", [Rejected("x"), ParameterRefused("x")])
def test_what_the_endpoint_refuses_for_another_reason_it_has_let_through(error: CallFailed):
    endpoint = Endpoint()
    endpoint.start(10)
    endpoint.refuse(1, 2, 3, 4)
    for number in range(5, 11):
        endpoint.fail(number, error)
    for _ in range(2):
        endpoint.clock.time += 30
        assert endpoint.start() == 1
    # Six were let through in the minute since the first episode, and two are in flight, sent in a second.
    endpoint.refuse(11)
    assert endpoint.state[2] == pytest.approx(60 * (0.1 * 2) ** 0.5)


def test_tokens_are_paced_as_reserved_and_settled_as_used():
    endpoint = Endpoint(tpm=6000)  # 98.5 a second
    assert endpoint.limits.now().tokens_per_minute == pytest.approx(5910)
    assert endpoint.limits.estimate(REQUEST) == pytest.approx(80)
    assert endpoint.start(2, tokens=197) == 1
    endpoint.serve(1, tokens=197, usage=Usage(60, 38))  # 99 fewer than reserved: due after 0.995 s
    endpoint.clock.time += 0.9
    assert not endpoint.limits.has_room()
    endpoint.clock.time += 0.1
    assert endpoint.start(1, tokens=98.5) == 1
    endpoint.serve(2, tokens=98.5)  # without a count what was reserved stands
    endpoint.clock.time += 0.9
    assert not endpoint.limits.has_room()
    endpoint.clock.time += 0.11
    assert endpoint.start(1, tokens=98.5) == 1
    endpoint.serve(3, tokens=98.5, usage=Usage(150, 47))  # more than reserved: due after two seconds
    endpoint.clock.time += 1.9
    assert not endpoint.limits.has_room()
    endpoint.clock.time += 0.11
    assert endpoint.limits.has_room()


def test_the_tokens_of_a_refused_call_are_given_back():
    endpoint = Endpoint(rpm=60_000, tpm=6000)
    endpoint.start(1, tokens=985)
    endpoint.refuse(1, tokens=985)
    endpoint.clock.time += 0.01
    assert endpoint.limits.has_room()


def test_estimates_follow_the_counts_of_the_endpoint():
    endpoint = Endpoint(tpm=6_000_000)
    for number in range(1, 9):
        endpoint.clock.time += 1
        endpoint.start()
        endpoint.serve(number, usage=Usage(50, 7))
    assert endpoint.limits.estimate(REQUEST) == pytest.approx(57)


def test_stated_limits_are_kept_follow_the_latest_statement_and_stay_where_one_says_nothing():
    endpoint = Endpoint()
    rates: list[tuple[float | None, float | None]] = []
    for requests, tokens in ((None, 9000), (600, 9000), (1200, None), (None, None)):
        endpoint.limits.stated(RateSheet(requests=Quota(requests), tokens=Quota(tokens)))
        now = endpoint.limits.now()
        rates.append((now.requests_per_minute, now.tokens_per_minute))
    kept = [(None, 9000), (600, 9000), (1200, 9000), (1200, 9000)]
    assert rates == [
        tuple(None if rate is None else pytest.approx(0.985 * rate) for rate in pair) for pair in kept
    ]
    assert endpoint.start(2) == 1


@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_of_declared_and_stated_limits_the_lower_one_holds(kind: str):
    endpoint = Endpoint(rpm=600, tpm=600)
    rates: list[float | None] = []
    for stated in (300, 1200):
        quotas = {kind: Quota(stated)}
        endpoint.limits.stated(RateSheet(**quotas))
        now = endpoint.limits.now()
        rates.append(now.requests_per_minute if kind == "requests" else now.tokens_per_minute)
    assert rates == [pytest.approx(295.5), pytest.approx(591)]


@pytest.mark.parametrize(
    ("sheet", "estimate"), [(RateSheet(tokens=Quota(6000)), 80), (RateSheet(requests=Quota(600)), 0)]
)
def test_a_stated_limit_paces_calls_from_then_on(sheet: RateSheet, estimate: float):
    endpoint = Endpoint()
    endpoint.limits.stated(sheet)
    assert endpoint.limits.estimate(REQUEST) == pytest.approx(estimate)
    assert endpoint.start(2, tokens=estimate) == 1


def test_a_stated_limit_is_that_of_its_model():
    limiters = Limiters(Limits(), Hand())
    limiters.stated("small", RateSheet(requests=Quota(60)))
    rates = [limiters.of(model).now().requests_per_minute for model in ("small", "large")]
    assert rates == [pytest.approx(59.1), None]


@pytest.mark.parametrize(("before", "pause"), [(False, 0), (True, 20)])
def test_refusals_under_a_stated_rate_are_random_unless_there_were_some_before(before: bool, pause: float):
    endpoint = Endpoint()
    endpoint.start(3)
    if before:
        endpoint.refuse(1)
    endpoint.limits.stated(RateSheet(requests=Quota(600)))
    endpoint.refuse(2)
    assert endpoint.state == (pause, int(before), pytest.approx(591))


def test_the_lower_of_a_declared_and_a_learned_rate_is_shown():
    endpoint = Endpoint(rpm=600)
    for number in (1, 2, 3):
        endpoint.start()
        endpoint.refuse(number)
        endpoint.clock.time += 1
    assert endpoint.state[2] == pytest.approx(60 / 8)


@pytest.mark.parametrize(("asked", "patience"), [(60, 60), (61, 60), (300, None), (301, None)])
async def test_a_call_is_refused_at_once_where_the_pause_is_longer_than_it_may_wait(
    asked: float, patience: float | None
):
    settings = {} if patience is None else {"patience": patience}
    limits = Limiters(Limits(), Hand(), **settings).of("m")
    assert limits.enter(0.0) == 1
    limits.failed(1, 0.0, RateLimited("daily quota", retry_after=asked, status=429))
    if asked in (60, 300):
        with pytest.raises(AssertionError):  # it sleeps, which this clock cannot
            await limits.wait(0.0)
        return
    says = rf"wait another {asked} s, longer than a call may wait \({asked - 1} s\): daily quota"
    with pytest.raises(RateLimited, match=says) as raised:
        await limits.wait(0.0)
    assert (raised.value.status, raised.value.attempts, raised.value.retry_after) == (429, 0, asked)
