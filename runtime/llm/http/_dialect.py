"""Form of requests that one model of one endpoint accepts: set in the scenario, or learned from refusals."""

import re
from collections.abc import Callable, Iterable
from typing import Literal

from ..chat import ChatRequest, Message

OnNotice = Callable[[str, str], None]
"""Takes a model's name and a sentence on what was learned about its endpoint."""

TokenLimit = Literal["max_tokens", "max_completion_tokens"]

_LEARNABLE = frozenset({400, 404, 405, 415, 422, 500, 501})
_OPTIONAL = (
    "temperature",
    "top_p",
    "seed",
    "response_format",
    "reasoning_effort",
    "stream_options",
    "stream",
)
_ROUTED = ("logprobs", "response_format", "seed", "top_p", "reasoning_effort", "temperature")
"""Fields in the order in which they are left out where a router does not say which one no provider takes."""
_REFUSES = re.compile(
    r"unsupported|not\W+(?:\w+\W+)?(?:support|permit|allow|accept|available|enabled|implement)|"
    r"n't\W+(?:support|accept|allow)|unknown|unrecogni[sz]ed|unexpected|extra|forbidden|deprecated|invalid|"
    r"cannot|can't|must be|only|cannot find field|at most|exceed|greater than|less than",
    re.IGNORECASE,
)
_NO_SYSTEM = re.compile(
    r"(?:system|developer)\W+(?:\w+\W+)?(?:role|message|prompt|instruction)s?|"
    r"roles?\W+(?:\S+\W+){0,6}?(?:system|developer)|only user and assistant roles",
    re.IGNORECASE,
)
_MOST = re.compile(
    r"(?:at most|max(?:imum)?(?:\s+(?:value|allowed))?(?:\s+\w+)?|<=|less than or equal to|\[0,|0 and|exceed"
    r"|up to)"
    r"\D{0,24}?(\d+)",
    re.IGNORECASE,
)
_LEAST = re.compile(
    r"(?:>=|at least|minimum(?: value)?|greater than or equal to)\D{0,24}?(\d+)", re.IGNORECASE
)
_UNKNOWN = re.compile(
    r"unsupported|unknown|unrecogni|extra|not\W+(?:\w+\W+)?(?:support|permit)", re.IGNORECASE
)
_ONLY_STREAMS = re.compile(
    r"only\s+supports?\s+stream|non-?stream(?:ing)?\s(?:calls?|requests?|mode|outputs?)|非流式"
    r"|stream(?:ing)?\s(?:mode\s)?is\srequired|requires?\s(?:`?stream|streaming)|enable\sthe\sstream"
    r"|\bstream`?\s(?:parameter\s)?(?:must|should|has\sto)\sbe\s(?:set\sto\s)?`?true|stream=`?false",
    re.IGNORECASE,
)
_NO_ROUTE = re.compile(r"no (?:endpoints?|providers?) found[^.]{0,40}parameters", re.IGNORECASE)
_NO_THINKING = re.compile(r"not support thinking|think value|thinking is not supported", re.IGNORECASE)
_LOGPROBS = re.compile(r"\blog_?probs?\b", re.IGNORECASE)
_MOST_LEAST = 1024
"""A least number of reply tokens beyond this is not plausible."""


class Dialect:
    """The form of requests to one model. `version` grows with each change.

    `token_limit` names the field of the token limit. `omitted` holds the fields that are left out, among them
    `logprobs`. `most_alternatives` bounds `top_logprobs`, `least_tokens` the token limit from below. Without
    `system` a system turn is put in front of the first user turn. `stream` is what the body says about
    streaming, None where it says nothing.
    """

    def __init__(self, token_limit: TokenLimit | None = None, omit: Iterable[str] = ()) -> None:
        self.version = 0
        self.token_limit: TokenLimit = token_limit or "max_tokens"
        self.omitted = set(omit)
        self.most_alternatives: int | None = None
        self.least_tokens = 1
        self.system = True
        self.stream: bool | None = None

    def messages(self, request: ChatRequest) -> tuple[Message, ...]:
        """The turns as this model takes them."""
        turns = request.messages
        if self.system or not any(turn.role == "system" for turn in turns):
            return turns
        system = [turn.content for turn in turns if turn.role == "system"]
        others = [turn for turn in turns if turn.role != "system"]
        if others and others[0].role == "user":
            system.append(others.pop(0).content)
        return (Message("user", "\n\n".join(system)), *others)

    def alternatives(self, request: ChatRequest) -> int:
        """The `top_logprobs` to ask for; 0 where log-probabilities are left out."""
        if "logprobs" in self.omitted:
            return 0
        most = self.most_alternatives
        return request.top_logprobs if most is None else min(request.top_logprobs, most)

    def streamed(self) -> str | None:
        """Note that the endpoint streamed; a sentence about it the first time."""
        if self.stream is not None or "stream" in self.omitted:
            return None
        self.stream = False
        return self._learned("streams by default: `stream: false` is sent from now on")

    def learn(self, status: int, text: str, param: str, request: ChatRequest) -> str | None:
        """Adapt to a refusal; a sentence on what changes, None where the refusal is about something else.

        `text` is the endpoint's error message with its code, `param` the field it names, if any.
        """
        if status not in _LEARNABLE:
            return None
        if learned := self._learn_stream(text) or self._learn_route(text, request):
            return learned
        if not (_REFUSES.search(text) or _NO_THINKING.search(text)):
            return None
        return (
            self._learn_token_limit(text, param, request)
            or self._learn_logprobs(text, param, request)
            or self._learn_optional(text, param, request)
            or self._learn_system(text, request)
        )

    def _learn_stream(self, text: str) -> str | None:
        if self.stream or not _ONLY_STREAMS.search(text):
            return None
        self.stream = True
        return self._learned("answers streaming requests only: `stream: true` is sent from now on")

    def _learn_route(self, text: str, request: ChatRequest) -> str | None:
        if not _NO_ROUTE.search(text):
            return None
        sent = self._sent(request)
        name = next((name for name in _ROUTED if sent.get(name) and name not in self.omitted), None)
        if name is None:
            return None
        self.omitted.add(name)
        return self._learned(f"has no provider that takes all parameters: {name} is left out from now on")

    def _sent(self, request: ChatRequest) -> dict[str, bool]:
        """The optional fields, and whether the request has them."""
        return {
            "logprobs": request.top_logprobs > 0,
            "temperature": request.temperature is not None,
            "top_p": request.top_p is not None,
            "seed": request.seed is not None,
            "response_format": request.json_object,
            "reasoning_effort": '"reasoning_effort"' in request.extra_body,
            "stream_options": bool(self.stream),
            "stream": self.stream is not None,
        }

    def _learn_token_limit(self, text: str, param: str, request: ChatRequest) -> str | None:
        sent = self.token_limit
        if not _names(sent, text, param) and "max_output_tokens" not in text:
            return None
        least = _LEAST.search(text)
        if least and max(request.max_tokens, self.least_tokens) < int(least[1]) <= _MOST_LEAST:
            self.least_tokens = int(least[1])
            return self._learned(f"takes no {sent} below {least[1]}: {least[1]} is sent from now on")
        other: TokenLimit = "max_completion_tokens" if sent == "max_tokens" else "max_tokens"
        if other in text or _UNKNOWN.search(text):
            # Each name is tried once: an endpoint that refuses both is not asked forever.
            if f"refused:{other}" in self.omitted:
                return None
            self.omitted.add(f"refused:{sent}")
            self.token_limit = other
            return self._learned(f"refuses {sent}: {other} is sent from now on")
        return None

    def _learn_logprobs(self, text: str, param: str, request: ChatRequest) -> str | None:
        asked = self.alternatives(request)
        if not asked or not (_names("top_logprobs", text, param) or _LOGPROBS.search(f"{param} {text}")):
            return None
        if (most := _MOST.search(text)) and 0 < int(most[1]) < asked:
            self.most_alternatives = int(most[1])
            return self._learned(f"gives at most {most[1]} top_logprobs: no more are asked for from now on")
        self.omitted.add("logprobs")
        return self._learned("refuses logprobs: they are left out from now on")

    def _learn_optional(self, text: str, param: str, request: ChatRequest) -> str | None:
        sent = self._sent(request)
        if _NO_THINKING.search(text):
            param = "reasoning_effort"
        for name in (param, *_OPTIONAL):
            if sent.get(name) and name not in self.omitted and _names(name, text, param):
                self.omitted.add(name)
                return self._learned(f"refuses {name}: it is left out from now on")
        return None

    def _learn_system(self, text: str, request: ChatRequest) -> str | None:
        if not self.system or not any(turn.role == "system" for turn in request.messages):
            return None
        if not _NO_SYSTEM.search(text):
            return None
        self.system = False
        return self._learned("takes no system turn: its text is put in front of the user's from now on")

    def _learned(self, notice: str) -> str:
        self.version += 1
        return notice


def _names(name: str, text: str, param: str) -> bool:
    return param == name or re.search(rf"(?<![\w.]){name}(?!\w)", text) is not None
