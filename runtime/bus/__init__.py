"""The bus: typed requests with one answer each, and events for whoever observes."""

from .context import current_header, headed
from .encoding import EncodingBus
from .in_process import InProcessBus
from .interception import Interceptor, Proceed
from .message import Event, Header, Request, Route, reply_type, route, route_name
from .protocol import Bus, Observer

__all__ = [
    "Bus",
    "EncodingBus",
    "Event",
    "Header",
    "InProcessBus",
    "Interceptor",
    "Observer",
    "Proceed",
    "Request",
    "Route",
    "current_header",
    "headed",
    "reply_type",
    "route",
    "route_name",
]
