"""The table of unanswered asks of one bus, and when one of them has to be asked again."""

import asyncio
from itertools import count
from time import monotonic

import msgspec

from ..protocol import Route
from .wire import Claimed, Reply

UNCLAIMED_BEATS, SILENT_BEATS = 10, 20
"""Beats after which an ask is taken for lost that nobody ever claimed, and one whose holder fell silent: a
process that is short of time is not gone."""

_LATE_BEATS = 2


class NoResponder(msgspec.Struct, frozen=True):
    """The nats-server knew of nobody who serves the route."""


class Lost(msgspec.Struct, frozen=True):
    """Whoever had the ask is gone, or it never arrived."""


Outcome = Reply | NoResponder | Lost


class Ask:
    """One unanswered ask. It is named by the subject that its replies go to."""

    __slots__ = ("_news", "_outcome", "claimed_at", "holder", "name", "route")

    def __init__(self, name: str, route: Route) -> None:
        self.name = name
        self.route = route
        self.holder: str | None = None
        self.claimed_at = 0.0
        self._outcome: Outcome | None = None
        self._news: asyncio.Future[None] | None = None

    async def outcome(self) -> Outcome:
        """What comes of it, once; the next one counts from here."""
        while self._outcome is None:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        outcome, self._outcome = self._outcome, None
        return outcome

    def settle(self, outcome: Outcome) -> None:
        if self._outcome is None:
            self._outcome = outcome
            if self._news is not None and not self._news.done():
                self._news.set_result(None)

    def claim(self, bus: str | None) -> None:
        self.holder, self.claimed_at = bus, monotonic()


class Asks:
    """What one bus has asked and not been answered. A claim lasts for some beats and is renewed by each."""

    def __init__(self, inbox: str, beat: float) -> None:
        self._inbox = inbox
        self._beat = beat
        self._numbers = count(1)
        self._open: dict[str, Ask] = {}

    def open(self, route: Route) -> Ask:
        ask = Ask(f"{self._inbox}{next(self._numbers)}", route)
        self._open[ask.name] = ask
        return ask

    def close(self, ask: Ask) -> None:
        self._open.pop(ask.name, None)

    def replied(self, name: str, reply: Reply | NoResponder) -> None:
        """A message for an ask came; for one that is closed it comes too late and is nothing to us."""
        ask = self._open.get(name)
        if ask is None:
            return
        if isinstance(reply, Claimed):
            ask.claim(reply.bus)
        else:
            ask.settle(reply)

    def claimed(self, bus: str, names: tuple[str, ...]) -> None:
        """A bus says what it has in hand."""
        for name in names:
            ask = self._open.get(name)
            if ask is not None:
                ask.claim(bus)

    def gone(self, bus: str) -> None:
        """A bus is gone, and with it what it had in hand."""
        for ask in self._open.values():
            if ask.holder == bus:
                ask.settle(Lost())

    def renew(self) -> None:
        """Every claim counts from now: time in which we could not hear of them is not theirs."""
        now = monotonic()
        for ask in self._open.values():
            ask.claimed_at = now

    def late(self) -> dict[Route, list[str]]:
        """Asks that nobody has claimed for two beats, by route, to be asked after; settles those that are
        lost."""
        now = monotonic()
        late: dict[Route, list[str]] = {}
        for ask in self._open.values():
            quiet = now - ask.claimed_at
            most = UNCLAIMED_BEATS if ask.holder is None else SILENT_BEATS
            if quiet > most * self._beat:
                ask.settle(Lost())
            elif quiet > _LATE_BEATS * self._beat:
                late.setdefault(ask.route, []).append(ask.name)
        return late

    def every(self) -> dict[Route, list[str]]:
        """All of them by route."""
        found: dict[Route, list[str]] = {}
        for ask in self._open.values():
            found.setdefault(ask.route, []).append(ask.name)
        return found
