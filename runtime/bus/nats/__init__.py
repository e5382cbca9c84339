"""The bus over NATS; needs the extra `nats`."""

from .bus import NatsBus
from .meeting import Hello, Welcome, found
from .server import NatsServer

__all__ = ["Hello", "NatsBus", "NatsServer", "Welcome", "found"]
