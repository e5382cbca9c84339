"""The bus: typed requests with one answer each, and events for whoever observes."""

from .encoding import EncodingBus
from .in_process import InProcessBus, current_header
from .message import Event, Header, Request, reply_type
from .protocol import Bus, Observer

__all__ = [
    "Bus",
    "EncodingBus",
    "Event",
    "Header",
    "InProcessBus",
    "Observer",
    "Request",
    "current_header",
    "reply_type",
]
