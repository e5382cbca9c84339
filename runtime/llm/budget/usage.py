"""Usage of this invocation: in all, by model and by role."""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import structs

from ..chat import ChatResponse, Usage

AgentRole = Literal["reference", "target", "scorer"]


class Tally(msgspec.Struct):
    """The running counts of one model in one role; see `Used` for what they count."""

    calls: int = 0
    replayed: int = 0
    retries: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0

    def add(self, response: ChatResponse, usd: float) -> None:
        if response.replayed:
            self.replayed += 1
            return
        self.calls += 1
        self.retries += response.attempts - 1
        self._add_tokens(response.usage)
        self._add_tokens(response.uncounted)
        self.usd += usd
        self.seconds += response.seconds

    def failed_after(self, attempts: int, most: Usage, usd: float) -> None:
        """Count a call that gave no response after so many HTTP calls, and what those used at most; with 0
        attempts it was never sent."""
        if attempts:
            self.failed += 1
            self.retries += attempts - 1
            self._add_tokens(most)
            self.usd += usd

    def _add_tokens(self, usage: Usage) -> None:
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of one invocation.

    `calls` were paid for and gave a response, `failed` were sent and gave none, `replayed` came from the
    ledger; `retries` counts further HTTP calls of either, hedges included, so calls + failed + retries were
    sent in all.
    Tokens and `usd` are as the endpoints counted, and at most where they did not; `seconds` (the HTTP time of
    calls, which overlap) is of paid calls alone.
    """

    calls: int = 0
    replayed: int = 0
    retries: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0


class UsageReport(Used, frozen=True, kw_only=True):
    """The whole, and its parts by the scenario's names of models and by role."""

    by_model: dict[str, Used] = {}
    by_role: dict[str, Used] = {}


class Meter:
    """Hands out a tally for each model in each role, and adds them up."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, AgentRole], Tally] = {}

    def tally(self, model: str, role: AgentRole) -> Tally:
        return self._tallies.setdefault((model, role), Tally())

    def report(self) -> UsageReport:
        """A snapshot; models and roles are sorted by name."""
        tallies = self._tallies
        models = sorted({model for model, _ in tallies})
        roles = sorted({role for _, role in tallies})
        return UsageReport(
            **structs.asdict(_total(tallies.values())),
            by_model={m: _total(t for k, t in tallies.items() if k[0] == m) for m in models},
            by_role={r: _total(t for k, t in tallies.items() if k[1] == r) for r in roles},
        )


def _total(tallies: Iterable[Tally]) -> Used:
    sums = Tally()
    for tally in tallies:
        for name in Used.__struct_fields__:
            setattr(sums, name, getattr(sums, name) + getattr(tally, name))
    return Used(**structs.asdict(sums))
