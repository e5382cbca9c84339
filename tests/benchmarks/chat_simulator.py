"""A simulated chat endpoint that is lean enough not to be what a benchmark measures.

    python tests/benchmarks/chat_simulator.py --latency-ms 50 --rpm 1000 --burst 17

It prints one JSON line with its port when it is ready, and serves `POST /v1/chat/completions` until it is
terminated. Every completion takes exactly the latency. `GET /stats` returns what it counted as JSON
(`held_seconds`: for how long requests were held between the first and the last, all added up), and
`GET /stats?hashes` also how often each body was served; `POST /reset` starts the counts anew. One process,
one core, bare asyncio protocol (on uvloop where it is installed).
"""

import argparse
import asyncio
import json
import random
import re
import sys
from collections import Counter, deque
from hashlib import blake2b
from math import ceil
from resource import RUSAGE_SELF, getrusage
from time import monotonic
from typing import Any, cast

try:
    import uvloop
except ImportError:
    uvloop = None

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ROW = re.compile(r"\[(\w+)\]")
_LETTERS = "ABCD"


def answer(status: str, content: object, headers: str = "") -> bytes:
    """A whole HTTP answer with a JSON body."""
    body = json.dumps(content).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def completion(text: str, logprobs: object = None, prompt_tokens: int = 50) -> bytes:
    """A chat completion; its usage counts words of the text."""
    tokens = len(text.split())
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "logprobs": logprobs,
    }
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": prompt_tokens + tokens,
    }
    content = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "simulated",
        "choices": [choice],
        "usage": usage,
    }
    return answer("200 OK", content)


def by_content(body: bytes) -> bytes:
    """The answer that a body always gets, whoever asks and whenever.

    A body that speaks of `<prompt>` gets a prompt. One whose rows carry their label in brackets gets that
    label in seven of ten cases. All others get a letter, with log-probabilities where they are asked for.
    """
    request: dict[str, Any] = json.loads(body)
    text = "\n".join(str(message["content"]) for message in request["messages"])
    fixed = int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big")
    words = len(text.split())
    if "<prompt>" in text:
        return completion(f"<prompt>Answer with care, in manner {fixed % 997}.</prompt>", None, words)
    label = _ROW.search(text)
    letter = _LETTERS[fixed % 4]
    if label is not None:
        letter = label[1] if fixed % 10 < 7 else "unknown"
    if request.get("logprobs"):
        return completion(letter, _logprobs(letter, fixed), words)
    return completion(f"Answer: {letter}\nConfidence: {50 + fixed % 50}%", None, words)


def _logprobs(letter: str, fixed: int) -> dict[str, object]:
    others = [other for other in _LETTERS if other != letter]
    top = [{"token": letter, "logprob": -0.1 - fixed % 7 / 10}]
    top += [{"token": other, "logprob": -2.0 - i} for i, other in enumerate(others)]
    return {"content": [top[0] | {"top_logprobs": top}]}


class Limit:
    """A token bucket, and whether clients keep the pauses they are asked for."""

    def __init__(self, per_minute: float, burst: float, full: bool, exact: bool) -> None:
        self.rate, self.burst, self.exact = per_minute / 60, burst, exact
        self.level = burst if full else 0.0
        self.at = monotonic()
        self.allowed: dict[bytes, float] = {}
        self.earliest: float | None = None

    def refuse(self, body: bytes) -> float | None:
        """Seconds to ask for, None when the request may pass."""
        now = monotonic()
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        key = blake2b(body, digest_size=8).digest()
        if (allowed := self.allowed.pop(key, None)) is not None:
            margin = now - allowed
            self.earliest = margin if self.earliest is None else min(self.earliest, margin)
        if self.level >= 1:
            self.level -= 1
            return None
        wait = (1 - self.level) / self.rate
        wait = wait if self.exact else float(ceil(wait))
        self.allowed[key] = now + wait
        return wait


class Endpoint:
    """What all connections share: settings, counts, and the answers that wait for their time."""

    def __init__(self, settings: argparse.Namespace) -> None:
        self.settings = settings
        self.latency = settings.latency_ms / 1000
        self.fixed = completion("Answer: A\nConfidence: 80%")
        self.random = random.Random(settings.seed)
        self.loop = asyncio.get_running_loop()
        self.later: deque[tuple[float, Connection, bytes]] = deque()
        self.reset()

    def reset(self) -> None:
        self.started = monotonic()
        self.count = self.served = self.rejected = self.faults = 0
        self.at_once = self.most_at_once = 0
        self.first = self.last = self.changed = 0.0
        self.held = self.held_by_last = 0.0
        self.hashes: Counter[bytes] = Counter()
        settings = self.settings
        self.limit = (
            Limit(settings.rpm, settings.burst or settings.rpm / 60, not settings.empty, settings.exact)
            if settings.rpm
            else None
        )

    def handle(self, connection: "Connection", body: bytes) -> None:
        self.count += 1
        refused = self._refused(body)
        if refused is not None:
            if self.settings.fast_reject and not connection.waiting:
                connection.send(refused)
                return
            reply = refused
        else:
            self.served += 1
            self.last = monotonic()
            self.first = self.first or self.last
            self._pass_time(self.last)
            self.held_by_last = self.held
            if self.settings.hashes:
                self.hashes[blake2b(body, digest_size=8).digest()] += 1
            reply = by_content(body) if self.settings.bodies else self.fixed
        self._delay(connection, reply)

    def _refused(self, body: bytes) -> bytes | None:
        wait = self.limit.refuse(body) if self.limit is not None else None
        if wait is None and self.settings.reject_share and self.random.random() < self.settings.reject_share:
            wait = 1.0
        if wait is not None:
            self.rejected += 1
            error = {"error": {"message": "Rate limit reached.", "code": "rate_limit_exceeded"}}
            return answer("429 Too Many Requests", error, f"Retry-After: {wait:.6g}\r\n")
        if self.settings.fault_share and self.random.random() < self.settings.fault_share:
            self.faults += 1
            return answer("500 Internal Server Error", {"error": {"message": "simulated fault"}})
        return None

    def _pass_time(self, now: float) -> None:
        """Add up the seconds for which requests were held, each counted; to be called before a change."""
        self.held += self.at_once * (now - self.changed)
        self.changed = now

    def _delay(self, connection: "Connection", reply: bytes) -> None:
        connection.waiting += 1
        self._pass_time(monotonic())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        due = self.loop.time() + self.latency
        if not self.later:
            self.loop.call_at(due, self._send_due)
        self.later.append((due, connection, reply))

    def _send_due(self) -> None:
        # All answers take equally long, so that one queue and one timer serve for all of them.
        later, now = self.later, self.loop.time() + 0.0005
        self._pass_time(monotonic())
        while later and later[0][0] <= now:
            _, connection, reply = later.popleft()
            connection.waiting -= 1
            self.at_once -= 1
            connection.send(reply)
        if later:
            self.loop.call_at(later[0][0], self._send_due)

    def stats(self, *, hashes: bool) -> dict[str, object]:
        used = getrusage(RUSAGE_SELF)
        stats: dict[str, object] = {
            "count": self.count,
            "served": self.served,
            "rejected": self.rejected,
            "faults": self.faults,
            "most_at_once": self.most_at_once,
            "seconds": monotonic() - self.started,
            "serving_seconds": self.last - self.first,
            "held_seconds": self.held_by_last,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "earliest_retry": self.limit.earliest if self.limit is not None else None,
        }
        if self.settings.hashes:
            stats["distinct"] = len(self.hashes)
            stats["most_of_one"] = max(self.hashes.values(), default=0)
        if hashes:
            stats["hashes"] = {key.hex(): times for key, times in self.hashes.items()}
        return stats


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests may be pipelined."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.waiting = 0
        self.buffer = b""
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(buffer, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(buffer) < whole:
                break
            self._request(buffer[: buffer.index(b"\r\n")], buffer[end + 4 : whole])
            buffer = buffer[whole:]
        self.buffer = buffer

    def send(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def _request(self, line: bytes, body: bytes) -> None:
        _, path, _ = line.split(b" ", 2)
        if path.endswith(b"/chat/completions"):
            self.endpoint.handle(self, body)
        elif path.startswith(b"/stats"):
            self.send(answer("200 OK", self.endpoint.stats(hashes=path.endswith(b"hashes"))))
        elif path == b"/reset":
            self.endpoint.reset()
            self.send(answer("200 OK", {}))
        else:
            self.send(answer("404 Not Found", {"error": {"message": "no such path"}}))


async def serve(settings: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    endpoint = Endpoint(settings)
    server = await loop.create_server(lambda: Connection(endpoint), "127.0.0.1", settings.port, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"port": port, "base_url": f"http://127.0.0.1:{port}/v1"}), flush=True)
    await server.serve_forever()


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A simulated chat endpoint for benchmarks.")
    add = parser.add_argument
    add("--port", type=int, default=0)
    add("--latency-ms", type=float, default=50.0)
    add("--rpm", type=float, help="requests per minute; the rest gets 429 with Retry-After")
    add("--burst", type=float, help="requests at once under --rpm (default: a second's worth)")
    add("--empty", action="store_true", help="the bucket starts empty")
    add("--exact", action="store_true", help="Retry-After in fractions of a second, not whole ones")
    add("--fast-reject", action="store_true", help="429s come at once, not after the latency")
    add("--reject-share", type=float, default=0.0, help="share of requests answered 429 at random")
    add("--fault-share", type=float, default=0.0, help="share of requests answered 500 at random")
    add("--seed", type=int, default=0)
    add("--bodies", action="store_true", help="answers depend on the content of the request")
    add("--hashes", action="store_true", help="count how often each body was served")
    return parser.parse_args(given)


if __name__ == "__main__":
    run = asyncio.run if uvloop is None else uvloop.run
    try:
        run(serve(arguments(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
