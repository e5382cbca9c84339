"""A bus that sends every message through MessagePack, to keep messages pure values."""

from typing import TypeVar

import msgspec

from .in_process import InProcessBus

V = TypeVar("V")


class EncodingBus(InProcessBus):
    """An `InProcessBus` on which nothing arrives that could not have crossed a network."""

    def _carried(self, value: V, kind: type[V]) -> V:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind)
