"""What the viewers of a run in progress are shown: its latest state, encoded once for all of them."""

import time
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from ...bus import Event
from ..page.build import view_of
from ..page.document import document
from ..page.prepare import view
from ..page.story import Story
from ..page.told import told
from ..page.view import View

PAUSE = 0.2
"""Least seconds between two states."""

LONGEST_PAUSE = 0.8
"""Most seconds, so that viewers lag by less than one."""

SHARE = 0.02
"""Share of the time that making states may take, as long as the longest pause allows it."""


class State(msgspec.Struct, frozen=True):
    """A state of the page: `number` rises, `body` is its JSON."""

    number: int
    body: bytes


class Feed:
    """Takes in a run's events and hands out states of its page.

    Only the latest state is kept, so a viewer that lags skips what it missed. No state is made while nobody
    looks. `folder` is where the run writes; once it has `finished`, the page is that of its files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._story = Story()
        self._final: tuple[View, tuple[str, ...]] | None = None
        self._events = 0
        self._state = State(-1, b"")
        self._viewers = 0
        self._stir = anyio.Event()
        self._shown = anyio.Event()
        self.closed = False

    def take(self, event: Event) -> None:
        """Take in an event; to be subscribed to a bus."""
        known = told(msgspec.json.encode(event))
        if known is not None:
            self._story.take(datetime.now(UTC), known)
            self._events += 1
            self._stir.set()

    async def finish(self) -> None:
        """The run is over: show what its folder holds."""
        self._final = await anyio.to_thread.run_sync(view_of, self._folder)
        self._events += 1
        self._stir.set()

    def close(self) -> None:
        """There will be no further state; who waits for one gets the last."""
        self.closed = True
        if self._viewers:
            self._make()
        self._shown.set()

    def document(self) -> str:
        """The page as it is now, complete in itself, with the means to follow this feed."""
        return document(*self._now(), live=not self.closed)

    async def after(self, number: int) -> State:
        """The first state after the one with this number, as soon as there is one or the feed is closed."""
        self._viewers += 1
        try:
            if self._state.number < self._events:
                self._stir.set()
            while self._state.number <= number and not self.closed:
                await self._shown.wait()
        finally:
            self._viewers -= 1
        return self._state

    async def run(self) -> None:
        """Make states as there is news and somebody to see it, until cancelled."""
        while True:
            await self._stir.wait()
            self._stir = anyio.Event()
            if self._viewers and self._state.number < self._events:
                began = time.perf_counter()
                self._make()
                took = time.perf_counter() - began
                await anyio.sleep(min(max(PAUSE, took / SHARE), LONGEST_PAUSE))

    def _make(self) -> None:
        shown, blocks = self._now()
        body = msgspec.json.encode({"view": shown, "blocks": blocks})
        self._state = State(self._events, body)
        self._shown.set()
        self._shown = anyio.Event()

    def _now(self) -> tuple[View, tuple[str, ...]]:
        return (view(self._story), ()) if self._final is None else self._final
