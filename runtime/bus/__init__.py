"""The bus: typed requests with one answer each, and events for observers."""

from .in_process import EncodingBus, InProcessBus
from .protocol import (
    Bus,
    Event,
    Header,
    Interceptor,
    Observer,
    Proceed,
    Request,
    Route,
    current_header,
    headed,
    reply_type,
    route,
    route_name,
)

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
