"""A server with a rate limit, as a chat client in virtual time."""

import random
from dataclasses import dataclass, field
from math import ceil

import anyio

from transfer_prompting.runtime.errors import RateLimited
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Usage


@dataclass
class LimitedServer:
    """A token bucket: `per_minute` requests (or tokens, with `counts_tokens`), `burst` of them at once.

    It starts full. Calls arrive after up to `travel` seconds, and rejections come at once; `retry_after` asks
    for whole seconds until the next token, or for nothing. `rejected` holds the times of rejections, `early`
    counts calls that came before the pause asked for had passed and did not set out before it was asked for.
    """

    per_minute: float
    burst: float
    latency: float = 0.05
    travel: float = 0.002
    retry_after: bool = True
    counts_tokens: bool = False
    usage: Usage = field(default_factory=lambda: Usage(10, 5))
    served: int = 0
    early: int = 0
    at_once: int = 0
    most_at_once: int = 0
    rejected: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    _level: float = field(init=False)
    _at: float = 0.0
    _closed_until: float = 0.0
    _random: random.Random = field(default_factory=lambda: random.Random(5))

    def __post_init__(self) -> None:
        self._level = self.burst

    async def chat(self, request: ChatRequest) -> ChatResponse:
        told = self._closed_until
        if self.travel:
            await anyio.sleep(self._random.uniform(0, self.travel))
        now = anyio.current_time()
        self.early += now < told
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self._admit(now)
            self.texts.append(request.messages[0].content)
            seconds = self.latency * self._random.uniform(0.8, 1.2)
            await anyio.sleep(seconds)
        finally:
            self.at_once -= 1
        return ChatResponse(text="ok", usage=self.usage, seconds=seconds)

    def _admit(self, now: float) -> None:
        rate = self.per_minute / 60
        cost = self.usage.prompt_tokens + self.usage.completion_tokens if self.counts_tokens else 1
        self._level = min(self.burst, self._level + (now - self._at) * rate)
        self._at = now
        if self._level < cost:
            self.rejected.append(now)
            wait = float(ceil((cost - self._level) / rate))
            self._closed_until = max(self._closed_until, now + wait)
            raise RateLimited("slow down", retry_after=wait if self.retry_after else None, status=429)
        self._level -= cost
        self.served += 1
