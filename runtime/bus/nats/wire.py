"""What crosses the network, and on which subjects."""

import re

import msgspec

from ..fault import Fault
from ..protocol import Header, Route

# Subjects of one session, all below `tprompt.SESSION`:
#   ask.KIND.KEY      requests, shared out over the queue group of those who serve the route
#   about.KIND.KEY    to all of them: drop an ask, or tell what became of some
#   in.BUS.NUMBER     the inbox of a bus; NUMBER is the ask's
#   bus.BUS           subscribed to by that bus and never read: whether it is there, as the server knows
#   beat              every bus, every beat
#   event.BUS         events published on a bus

QUEUE = "servers"


class Asked(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request under way. Its header's deadline is in seconds from now; `stored` names a body that is too
    large for one message."""

    header: Header
    body: msgspec.Raw
    stored: str = ""


class Value(msgspec.Struct, frozen=True, array_like=True, tag="v", gc=False):
    """The answer."""

    body: msgspec.Raw
    stored: str = ""


class Raised(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """The handler raised this error."""

    fault: Fault


class Closed(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """The server stopped before it answered; `begun` says whether its handler had the request."""

    begun: bool


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="x"):
    """The work was dropped as asked for, and its handler has ended."""


class Claimed(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """A bus has the request in hand."""

    bus: str


Reply = Value | Raised | Closed | Ended | Claimed


class Drop(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """Nobody waits for this ask any more."""

    ask: str


class Whereabouts(msgspec.Struct, frozen=True, array_like=True, tag="w"):
    """Whoever has one of these asks in hand, or has answered it, says so (again)."""

    asks: tuple[str, ...]


About = Drop | Whereabouts


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """A bus is there: what it serves, and which asks it has in hand. `leaving` is its last."""

    bus: str
    routes: tuple[Route, ...]
    claims: tuple[str, ...]
    leaving: bool = False


class Told(msgspec.Struct, frozen=True, array_like=True):
    """An event, under the header it was published under."""

    module: str
    name: str
    header: Header | None
    body: msgspec.Raw


encode = msgspec.msgpack.Encoder().encode
decode_asked = msgspec.msgpack.Decoder(Asked).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
decode_about = msgspec.msgpack.Decoder(About).decode
decode_beat = msgspec.msgpack.Decoder(Beat).decode
decode_told = msgspec.msgpack.Decoder(Told).decode


class Subjects:
    """The subjects of one session."""

    def __init__(self, session: str) -> None:
        self._root = f"tprompt.{session}"
        self._asks: dict[Route, str] = {}
        self.beat = f"{self._root}.beat"
        self.every_event = f"{self._root}.event.*"

    def ask(self, to: Route) -> str:
        subject = self._asks.get(to)
        if subject is None:
            subject = self._asks[to] = f"{self._root}.ask.{token(to[0])}.{token(to[1])}"
        return subject

    def about(self, to: Route) -> str:
        return f"{self._root}.about.{token(to[0])}.{token(to[1])}"

    def inbox(self, bus: str) -> str:
        """The beginning of the inbox; an ask's number follows."""
        return f"{self._root}.in.{bus}."

    def bus(self, bus: str) -> str:
        return f"{self._root}.bus.{bus}"

    def event(self, bus: str) -> str:
        return f"{self._root}.event.{bus}"


def token(text: str) -> str:
    """Any text as one token of a subject, the same for the same text and only for it."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda c: "".join(f"={b:02X}" for b in c[0].encode()), text) or "="


def bus_of(ask: str) -> str:
    """Which bus asked: an ask is named by the subject its reply goes to."""
    return ask.split(".", 4)[3]
