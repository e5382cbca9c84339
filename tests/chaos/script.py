"""What goes wrong in one chaos run, drawn from a seed."""

import random
from collections.abc import Sequence

import msgspec

from support.chat_server import Fault, Malformed, Reply, Reset, Truncated
from support.replies import Completion

LONG = 1e18
"""Seconds, or tokens, that no server means."""

FAULTS: dict[str, Sequence[Reply]] = {
    "status": [Fault(status) for status in (408, 409, 500, 502, 503, 504, 529)],
    "refused for good": [Fault(400, "this row is refused"), Fault(422, "this row is refused")],
    "rate limit": [
        Fault(429),
        Fault(429, headers={"Retry-After": "0"}),
        Fault(429, headers={"Retry-After": "1"}),
        Fault(503, headers={"Retry-After": "0.5"}),
    ],
    "nonsense in headers": [
        Fault(429, headers={"Retry-After": value})
        for value in ("-5", "nan", "99999999999999999999", "Wed, 21 Oct 99999 07:28:00 GMT", "soon")
    ],
    "cut connection": [Reset(), Truncated()],
    "broken body": [
        Malformed(),
        Malformed(b""),
        Malformed(b"null"),
        Malformed(b'{"choices": []}'),
        Malformed(b"<html>busy</html>"),
        Malformed(b"[" * 5_000),
        Malformed(b'{"choices": [{"message": {"content": "\xff"}}]}'),
    ],
}
"""Answers that are none, by kind; after each the call is made again or has failed."""

USAGES = [(-5, -5), (2**62, 1), (0, 0), (10**30, 10**30)]
HEADERS = [
    {},
    {"x-ratelimit-limit-requests": "0"},
    {"x-ratelimit-limit-tokens": "-1", "x-ratelimit-reset-tokens": str(LONG)},
]


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """One run's faults.

    `rate` is the share of requests that meet a fault of `kinds`, in bursts of `burst` requests. From request
    `stop` on the run is asked to end (`stop_kind`: drained, cancelled, or nothing). The monotonic clock
    jumps forward by `jump` seconds at request `jump_at`. `calls` is a cap on HTTP calls.
    """

    seed: int
    rate: float
    burst: int
    kinds: tuple[str, ...]
    nonsense: float
    stalls: int
    stop_kind: str
    stop: int
    jump: float
    jump_at: int
    calls: int | None
    deterministic: bool
    hedge: bool
    attempts: int

    @classmethod
    def drawn(cls, seed: int) -> "Script":
        """The script of a seed; the same in every process."""
        draw = random.Random(f"chaos {seed}")
        return cls(
            seed=seed,
            rate=draw.choice([0.0, 0.02, 0.1, 0.3, 0.6]),
            burst=draw.choice([1, 1, 5, 40]),
            kinds=tuple(sorted(draw.sample(list(FAULTS), draw.randint(1, len(FAULTS))))),
            nonsense=draw.choice([0.0, 0.0, 0.2]),
            stalls=draw.choice([0, 0, 0, 1, 2]),
            stop_kind=draw.choice(["none", "none", "drained", "cancelled"]),
            stop=draw.randint(1, 200),
            jump=draw.choice([0.0, 0.0, 100.0, 1e6]),
            jump_at=draw.randint(1, 150),
            calls=draw.choice([None, None, None, 120, 160, 250]),
            deterministic=draw.random() < 0.4,
            hedge=draw.random() < 0.2,
            attempts=draw.choice([1, 2, 6]),
        )

    def fault(self, number: int) -> Reply | None:
        """The fault that request `number` (from 1) meets, if any."""
        burst = random.Random(f"burst {self.seed} {number // self.burst}")
        if burst.random() >= self.rate:
            return None
        kind = burst.choice(self.kinds)
        return random.Random(f"fault {self.seed} {number}").choice(FAULTS[kind])

    def dressed(self, number: int, text: str) -> Completion:
        """The good answer to request `number`, now and then with counts and headers that make no sense."""
        draw = random.Random(f"answer {self.seed} {number}")
        if draw.random() >= self.nonsense:
            return Completion(text)
        return Completion(text, usage=draw.choice(USAGES), headers=draw.choice(HEADERS))
