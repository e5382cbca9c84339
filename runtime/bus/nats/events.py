"""Events on their way between buses."""

import sys

import msgspec

from ..protocol import Event, Header, current_header
from .wire import Told, encode


def told_of(event: Event) -> Told:
    """An event as it crosses the network, published under the header that is current here."""
    kind = type(event)
    header = current_header()
    if header is not None:
        header = msgspec.structs.replace(header, deadline=None)
    return Told(kind.__module__, kind.__qualname__, header, msgspec.Raw(encode(event)))


def event_of(told: Told) -> tuple[Event, Header | None] | None:
    """The event again, and its header; None where this process does not know events of that kind."""
    kind = getattr(sys.modules.get(told.module), told.name, None)
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        return None
    return msgspec.msgpack.decode(told.body, type=kind), told.header
