"""The calls in flight, rates and pauses that one endpoint and model allow at this moment."""

from collections import deque

from ....scenarios.endpoints import Limits
from ..chat import Clock
from ..http._refusals import RateSheet
from ._rates import LearnedRate, Pace, stated_rate

START = 16
_CUT = 0.7


class Window:
    """At most `most` calls at once: doubles a round until the first overload, then one more a round.

    `size` is the number in use. An overload takes it to 70 %, never below 1 (additive increase,
    multiplicative decrease: Chiu and Jain 1989). It grows only while it is what limits.
    """

    __slots__ = ("_doubling", "_most", "_size", "size")

    def __init__(self, most: int, start: int = START) -> None:
        self._most = most
        self._size = float(min(start, most))
        self._doubling = True
        self.size = int(self._size)

    def served(self, in_flight: int) -> None:
        """One call was answered while `in_flight` were under way, it included."""
        if self.size >= self._most or in_flight < self.size:
            return
        self._size = min(self._most, self._size + (1.0 if self._doubling else 1 / self._size))
        self.size = int(self._size)

    def cut(self) -> None:
        """The endpoint is overloaded."""
        self._doubling = False
        self._size = max(1.0, self._size * _CUT)
        self.size = int(self._size)


# A declared limit is used to this share: clocks and networks are not even, and a rejection costs more.
_SHARE = 0.985
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# Calls that keep to a known rate are refused at random now and then. Only where so large a share of the
# latest is refused, the rate itself is too high.
_RECENT, _FEW, _NOISE = 40, 20, 0.4
_NEVER = float("-inf")


class Refusals:
    """Distinguishes random refusals from those of a limit, by what was served between episodes.

    A token bucket is empty at each refusal, so that between two of them as much is served as it fills by:
    equal rates. An interval that served few calls at a rate far below another one's contradicts that.
    """

    def __init__(self) -> None:
        self._served = 0
        self._last: tuple[float, int] | None = None
        self._intervals: deque[tuple[int, float]] = deque(maxlen=12)

    def served(self) -> None:
        """A call was served."""
        self._served += 1

    def episode(self, now: float) -> None:
        """An episode begins."""
        if self._last is not None:
            at, served = self._last
            self._intervals.append((self._served - served, max(now - at, 1e-3)))
        self._last = (now, self._served)

    def clear(self) -> None:
        """Forget the episodes."""
        self._intervals.clear()
        self._last = None

    def random(self) -> bool:
        """True where the latest episodes cannot all go back to one limit."""
        most = max(((served - 3) / seconds for served, seconds in self._intervals), default=0.0)
        odd = [(served + 1) / seconds < 0.4 * most and served <= 8 for served, seconds in self._intervals]
        return sum(odd) >= 2


class Allowance:
    """Calls in flight, requests and tokens per minute, pauses: declared, stated in headers, or learned.

    An episode is everything that one overload causes: of all refused calls that started before it was
    noticed, only the first changes what is allowed. Epochs count the episodes; a call belongs to the one in
    which it started.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        self._declared = (limits.requests_per_minute, limits.tokens_per_minute)
        paced = any(self._declared)
        self.window = Window(limits.concurrency, limits.concurrency if paced else START)
        self.requests = _pace(limits.requests_per_minute)
        self.tokens = _pace(limits.tokens_per_minute)
        self.learned = LearnedRate()
        self.in_flight = 0
        self.epoch = 0
        self.paused_until = _NEVER
        self._stated: tuple[float | None, float | None] = (None, None)
        self._silent_pauses = 0
        self._refusals = Refusals()
        self._random = False
        self._outcomes: deque[bool] = deque(maxlen=_RECENT)
        # Whether anything but the number of calls in flight limits.
        self.timed = paced
        self._seconds = 0.0

    def free(self) -> bool:
        return self.in_flight < self.window.size

    def due(self) -> float:
        """The time from which the next call may start."""
        if not self.timed:
            return _NEVER
        due = self.paused_until
        for pace in (self.requests, self.tokens, self.learned.pace):
            if pace is not None and pace.due() > due:
                due = pace.due()
        return due

    def take(self, units: float) -> int:
        """A call starts that will use about `units` tokens."""
        self.in_flight += 1
        if self.timed:
            now = self._clock.now()
            if self.requests is not None:
                self.requests.take(now)
            if self.tokens is not None:
                self.tokens.take(now, units)
            if self.learned.pace is not None:
                self.learned.take(now)
        return self.epoch

    def put_back(self, units: float) -> None:
        """A call ended that used `units` tokens fewer than it was taken to (or never started)."""
        self.in_flight -= 1
        if self.tokens is not None:
            self.tokens.give_back(units)

    def served(self, seconds: float) -> None:
        """A call that is still in flight was answered, in `seconds`."""
        self._silent_pauses = 0
        self._seconds = seconds
        self._outcomes.append(False)
        self._refusals.served()
        self.learned.served()
        self.window.served(self.in_flight)

    def refused(self, epoch: int, retry_after: float | None) -> float:
        """A call that is still in flight was refused as one too many; returns the seconds of the pause.

        A refusal among many calls that are served at a declared or stated rate is not about the rate: it
        pauses nobody but its own call, which waits before its retry.
        """
        now = self._clock.now()
        self._outcomes.append(True)
        if self._at_random():
            return retry_after or 0.0
        self.timed = True
        if epoch == self.epoch:
            self._begin_episode(now, dated=retry_after is not None)
        if retry_after is not None:
            self.paused_until = max(self.paused_until, now + retry_after)
        return self.paused_until - now

    def _at_random(self) -> bool:
        """True where few of the latest calls were refused, and not for the rate: it is known and was never
        too high, or refusals do not depend on it."""
        few = len(self._outcomes) >= _FEW and sum(self._outcomes) < _NOISE * len(self._outcomes)
        if self._random:
            if not few:
                self._random = False
                self._refusals.clear()
            return few
        return few and self.requests is not None and self.learned.pace is None

    def overloaded(self, epoch: int) -> None:
        """A call that is still in flight failed by overload, without a Retry-After."""
        if epoch == self.epoch:
            self.epoch += 1
            self.window.cut()

    def stated(self, sheet: RateSheet) -> None:
        """Take over the limits of an answer's headers; the lower of declared and stated ones holds."""
        stated = (sheet.requests.limit, sheet.tokens.limit)
        if stated == self._stated:
            return
        self._stated = stated
        requests, tokens = self._declared
        self.requests = _lower(_pace(requests), stated_rate(sheet.requests), self.requests)
        self.tokens = _lower(_pace(tokens), stated_rate(sheet.tokens), self.tokens)
        self.timed = self.timed or self.requests is not None or self.tokens is not None

    def _begin_episode(self, now: float, *, dated: bool) -> None:
        self.epoch += 1
        self._refusals.episode(now)
        if dated and self._refusals.random():
            self._random, self.learned = True, LearnedRate()
            self._outcomes.clear()
            self._outcomes.extend([False] * _FEW)
            return
        burst = self.in_flight / self._seconds if self._seconds else float(self.in_flight)
        if self.requests is not None and len(self._outcomes) < _FEW:
            pass  # too early to say that a known rate is too high: the pause will do
        elif self.requests is not None and self.requests.per_second < burst:
            self.learned.refused(now, self.requests.per_second, paced=True)
        else:
            self.learned.refused(now, burst, paced=False)
        if not dated:
            self.window.cut()
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._silent_pauses)
            self._silent_pauses += 1
            self.paused_until = max(self.paused_until, now + pause)


def _pace(per_minute: float | None) -> Pace | None:
    return None if per_minute is None else Pace(per_minute * _SHARE / 60)


def _lower(declared: Pace | None, stated: float | None, current: Pace | None) -> Pace | None:
    rates = [
        pace for pace in (declared, None if stated is None else Pace(stated * _SHARE)) if pace is not None
    ]
    if not rates:
        return current
    lowest = min(rates, key=lambda pace: pace.per_second)
    if current is None:
        return lowest
    current.per_second = lowest.per_second
    return current
