"""Which buses of a session are there, and what they serve."""

from time import monotonic

import anyio

from ..protocol import Route
from .wire import Beat

_LATE_BEATS = 2.5
_SILENT_BEATS = 20


class Peer:
    """Another bus (or this one), as last heard of."""

    __slots__ = ("heard_at", "routes")

    def __init__(self) -> None:
        self.heard_at = 0.0
        self.routes: tuple[Route, ...] = ()


class Presence:
    """The buses heard of within twenty beats, but for those that said they leave or are known to be gone."""

    def __init__(self, beat: float) -> None:
        self._beat = beat
        self._peers: dict[str, Peer] = {}
        self._news = anyio.Event()

    def __contains__(self, bus: str) -> bool:
        return bus in self._peers

    def heard(self, beat: Beat) -> None:
        peer = self._peers.setdefault(beat.bus, Peer())
        peer.heard_at, peer.routes = monotonic(), beat.routes
        self._tell()

    def gone(self, bus: str) -> None:
        self._peers.pop(bus, None)
        self._tell()

    def renew(self) -> None:
        """Everyone counts as heard of now: time in which we could not hear them says nothing about them."""
        for peer in self._peers.values():
            peer.heard_at = monotonic()

    def late(self) -> tuple[list[str], list[str]]:
        """Those not heard of for some beats, to be looked for; and those who are gone after twenty."""
        now = monotonic()
        quiet = {bus: (now - peer.heard_at) / self._beat for bus, peer in self._peers.items()}
        gone = [bus for bus, beats in quiet.items() if beats > _SILENT_BEATS]
        return [bus for bus, beats in quiet.items() if _LATE_BEATS < beats <= _SILENT_BEATS], gone

    def serves(self, route: Route) -> list[str]:
        """The buses that serve a route, sorted."""
        return sorted(bus for bus, peer in self._peers.items() if route in peer.routes)

    async def change(self) -> None:
        """Return when somebody is heard of or gone, the next time from now."""
        await self._news.wait()

    def _tell(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()
