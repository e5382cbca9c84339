"""How many tokens a call will use, guessed before it is made."""

from ..protocol import ChatRequest, Usage

_PER_CHARACTER = 0.3
_PER_MESSAGE = 4
_SHARE = 0.1
_ENOUGH = 8


class TokenEstimate:
    """Prompt tokens from the length of the messages, completion tokens from what replies came to so far.

    Until eight replies have been counted, a reply is taken to be as long as it may be (`max_tokens`). Both
    means follow the endpoint's own counts, each new one with a weight of a tenth.
    """

    def __init__(self) -> None:
        self._per_character = _PER_CHARACTER
        self._completion = 0.0
        self._seen = 0

    def of(self, request: ChatRequest) -> float:
        completion = float(request.max_tokens)
        if self._seen >= _ENOUGH:
            completion = min(completion, self._completion)
        return self._per_character * _characters(request) + completion

    def learn(self, request: ChatRequest, usage: Usage) -> None:
        """What the call came to in the end."""
        share = max(_SHARE, 1 / (self._seen + 1))
        self._per_character += share * (usage.prompt_tokens / _characters(request) - self._per_character)
        self._completion += share * (usage.completion_tokens - self._completion)
        self._seen += 1


def _characters(request: ChatRequest) -> int:
    return sum(len(message.content) + _PER_MESSAGE for message in request.messages)
