"""The live view: the report's page for a run in progress, served on loopback."""

from .feed import Feed
from .server import serve

__all__ = ["Feed", "serve"]
