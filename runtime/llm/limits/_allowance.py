"""The calls in flight, rates and pauses that one endpoint and model allow at this moment."""

from typing import Literal

from ....scenarios.endpoints import Limits
from ..chat import Clock
from ..http._refusals import RateSheet
from ._evidence import Evidence, Intervals
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
# Episodes after which a cause that is still open is taken to be a limit.
_UNDECIDED = 6
# Calls in flight after an episode of unknown cause; one more for every two that are served.
_AFTER_EPISODE = 8
# Calls sent despite a pause where none had been sent after the refused one, and how often as many again, each
# time when all have ended: refusals come sooner than responses. The delay (seconds) shows whether other calls
# are refused too.
_PROBES, _ROUNDS, _PROBE_DELAY = 4, 4, 0.02
_NEVER = float("-inf")


class Allowance:
    """Calls in flight, requests and tokens per minute, pauses: declared, stated in headers, or learned.

    An episode is everything that one overload causes: of all refused calls that started before it was
    noticed, only the first changes what is allowed. Calls are numbered as they start; a call belongs to the
    latest episode when it started before that was noticed.

    The cause of refusals is open at first: an episode pauses all calls, until those that had been sent on
    after the refused one tell a limit, which refuses them too, from refusals at random. Then either a rate
    is learned, or a refusal pauses its own call only. Where none had been sent on, as where refusals come at
    once, a few calls (probes) are sent despite the pause to find out. Under a declared or stated rate
    refusals are random until there is evidence that they are not: noise must not undercut it.
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
        self.episodes = 0
        self.paused_until = _NEVER
        self._stated: tuple[float | None, float | None] = (None, None)
        self._silent_pauses = 0
        self._intervals = Intervals()
        self._evidence = Evidence()
        self._cause: Literal["open", "limit", "random"] = "open" if self.requests is None else "random"
        # Numbers of the last call that started, of the first refused one of the latest episode, and of the
        # last that started before the episode was noticed.
        self._started = self._first = self._noticed = 0
        # Probes that may start, that are in flight, and outcomes of those that ended (refused: True)
        self._probes = self._rounds = 0
        self._probing: set[int] = set()
        self._probed: list[bool] = []
        self._probe_at = _NEVER
        self._burst = 0.0
        self._dated = True
        self._most = float("inf")
        # Whether anything but the number of calls in flight limits.
        self.timed = paced
        self._seconds = 0.0

    def free(self) -> bool:
        most = self.window.size
        if not self._probes or self._clock.now() >= self.paused_until:
            most = min(most, self._most)
        return self.in_flight < most

    def due(self) -> float:
        """The time from which the next call may start."""
        if not self.timed:
            return _NEVER
        due = min(self.paused_until, self._probe_at) if self._probes else self.paused_until
        for pace in (self.requests, self.tokens, self.learned.pace):
            if pace is not None and pace.due() > due:
                due = pace.due()
        return due

    def take(self, units: float) -> int:
        """A call starts that will use about `units` tokens; returns its number."""
        self.in_flight += 1
        self._started += 1
        if self.timed:
            now = self._clock.now()
            if self._probes and now < self.paused_until:
                self._probes -= 1
                self._probing.add(self._started)
            if self.requests is not None:
                self.requests.take(now)
            if self.tokens is not None:
                self.tokens.take(now, units)
            if self.learned.pace is not None:
                self.learned.take(now)
        return self._started

    def put_back(self, units: float) -> None:
        """A call ended that used `units` tokens fewer than it was taken to (or never started)."""
        self.in_flight -= 1
        if self.tokens is not None:
            self.tokens.give_back(units)

    def served(self, number: int, seconds: float) -> None:
        """A call that is still in flight was answered, in `seconds`."""
        self._silent_pauses = 0
        self._seconds = seconds
        self._intervals.served()
        self.learned.served()
        self.window.served(self.in_flight)
        self._most += 0.5
        if number in self._probing:
            self._end_probe(number, refused=False)
        elif self._tells(number):
            self._evidence.served()
        if self._cause == "open" and self._evidence.for_random:
            self._find_random()

    def refused(self, number: int, retry_after: float | None) -> float:
        """A call that is still in flight was refused as one too many; returns the seconds of the pause.

        Refusals at random pause nobody but their own call, which waits before its retry.
        """
        now = self._clock.now()
        known, probe = self._cause, number in self._probing
        if probe:
            self._end_probe(number, refused=True)
        elif self._tells(number):
            self._evidence.refused()
        if self._cause != "limit" and self._evidence.for_limit:
            self._cause = "limit"
            self._stop_probes()
        elif self._cause == "open" and self._evidence.for_random:
            self._find_random()
        if self._cause == "random":
            return retry_after or 0.0
        self.timed = True
        if retry_after is not None:
            self.paused_until = max(self.paused_until, now + retry_after)
        if number > self._noticed and not probe:
            self._begin_episode(now, number, dated=retry_after is not None)
        elif known == "open" and self._cause == "limit":
            self._slow_down(now)
        elif not probe:
            self._probes = self._rounds = 0  # several calls are refused: no others need be
        return max(0.0, self.paused_until - now)

    def overloaded(self, number: int) -> None:
        """A call that is still in flight failed by overload, without a Retry-After."""
        if number > self._noticed:
            self.episodes += 1
            self._noticed = self._started
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
        if self._cause == "open" and self.requests is not None and not self.episodes:
            self._cause = "random"

    def _tells(self, number: int) -> bool:
        """True where the outcome of a call is evidence of the cause of refusals."""
        if self._cause == "open":
            return self._first < number <= self._noticed
        return self._cause == "random"

    def _begin_episode(self, now: float, number: int, *, dated: bool) -> None:
        self.episodes += 1
        self._first, self._noticed, self._dated = number, self._started, dated
        self._burst = self.in_flight / self._seconds if self._seconds else float(self.in_flight)
        self._intervals.episode(now)
        if not dated:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._silent_pauses)
            self._silent_pauses += 1
            self.paused_until = max(self.paused_until, now + pause)
        if dated and self._intervals.random():
            self._find_random()
        elif self._cause == "limit" or self.episodes > _UNDECIDED:
            self._slow_down(now)
        else:
            self._most = _AFTER_EPISODE
            short = self.paused_until - now <= _LONGEST_PAUSE
            if self._cause == "open" and number == self._started and short:
                self._stop_probes()
                self._probes, self._rounds, self._probe_at = _PROBES, _ROUNDS - 1, now + _PROBE_DELAY

    def _end_probe(self, number: int, *, refused: bool) -> None:
        """A probe has ended; the outcomes of a round count when all of it has."""
        self._probing.discard(number)
        self._probed.append(refused)
        if self._probing or (self._probes and self._clock.now() < self.paused_until):
            return
        for outcome in self._probed:
            if outcome:
                self._evidence.refused()
            else:
                self._evidence.served()
        self._probed.clear()
        if self._rounds:
            self._rounds -= 1
            self._probes = _PROBES

    def _stop_probes(self) -> None:
        self._probes = self._rounds = 0
        self._probing.clear()
        self._probed.clear()

    def _find_random(self) -> None:
        """The latest episode was none."""
        self._cause, self.learned = "random", LearnedRate()
        self._most = float("inf")
        self._intervals.clear()
        self._evidence.find_random()
        self._stop_probes()
        self.paused_until = _NEVER

    def _slow_down(self, now: float) -> None:
        """The latest episode is that of a limit."""
        self._cause, self._most = "limit", float("inf")
        if self.requests is not None and self.requests.per_second < self._burst:
            self.learned.refused(now, self.requests.per_second, paced=True)
        else:
            self.learned.refused(now, self._burst, paced=False)
        if not self._dated:
            self.window.cut()


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
