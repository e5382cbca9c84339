"""What was paid, replayed, retried and failed, in all, by model and by role."""

from pathlib import Path

import msgspec
import pytest

from transfer_prompting.runtime.errors import RateLimited
from transfer_prompting.runtime.llm._call import Call, Layer, Sender
from transfer_prompting.runtime.llm.budget.budget import Budget, BudgetedClient, cost
from transfer_prompting.runtime.llm.budget.usage import Meter, Tally, Used
from transfer_prompting.runtime.llm.chat import ChatRequest, ChatResponse, Message, Usage
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.llm.ledger.replay import LedgeredClient
from transfer_prompting.scenarios.endpoints import Price
from transfer_prompting.scenarios.stages import BudgetSettings as Caps

PRICE = Price(input_per_million=1_000_000, output_per_million=2_000_000)  # a dollar, two dollars a token


class Answers:
    async def chat(self, request: ChatRequest) -> ChatResponse:
        return ChatResponse(text="B", usage=Usage(7, 3), seconds=0.5, attempts=3)


def asked(number: int) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message("user", "What?"),), max_tokens=10, sample=number)


async def test_replays_are_counted_but_cost_nothing(tmp_path: Path) -> None:
    meter = Meter()
    async with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        inner = LedgeredClient(Sender(Answers()), ledger, "e")
        client = BudgetedClient(inner, Budget(Caps()), PRICE, meter.tally("small", "target"))
        for number in (1, 2, 1, 2, 2):
            await client.chat(asked(number))
    used = meter.report()
    assert (used.calls, used.replayed, used.retries, used.failed) == (2, 3, 4, 0)
    assert (used.prompt_tokens, used.completion_tokens) == (14, 6)
    assert (used.usd, used.seconds) == (pytest.approx(26), pytest.approx(1))


def test_calls_failed_and_retries_add_up_to_what_was_sent() -> None:
    tally = Tally()
    tally.add(ChatResponse(text="", attempts=2), 0)
    tally.failed_after(6, Usage(20, 2), 0.5)
    tally.failed_after(0, Usage(), 0)
    assert (tally.calls, tally.failed, tally.retries) == (1, 1, 6)
    assert tally.usd >= 0.5
    assert tally.calls + tally.failed + tally.retries == 2 + 6


def test_models_and_roles_each_add_up_to_the_whole() -> None:
    meter = Meter()
    for count, (model, role) in enumerate([("b", "target"), ("a", "target"), ("a", "reference")], start=1):
        for _ in range(count):
            meter.tally(model, role).add(ChatResponse(text="", usage=Usage(10, 1)), 0.5)  # pyright: ignore[reportArgumentType]
    report = meter.report()
    assert {model: used.calls for model, used in report.by_model.items()} == {"a": 5, "b": 1}
    assert {role: used.calls for role, used in report.by_role.items()} == {"reference": 3, "target": 3}
    for parts in (report.by_model, report.by_role):
        for name in Used.__struct_fields__:
            assert sum(getattr(part, name) for part in parts.values()) == getattr(report, name)


def test_a_report_is_flat_with_its_parts_beside_it() -> None:
    meter = Meter()
    meter.tally("small", "scorer").add(ChatResponse(text="", usage=Usage(10, 1)), 0)
    whole = msgspec.to_builtins(meter.report())
    assert whole["calls"] == whole["by_model"]["small"]["calls"] == whole["by_role"]["scorer"]["calls"] == 1
    assert set(whole) == {*Used.__struct_fields__, "by_model", "by_role"}


def test_cost_is_tokens_times_price_per_million() -> None:
    price = Price(input_per_million=2.5, output_per_million=10)
    assert cost(price, Usage(400_000, 50_000)) == pytest.approx(1.5)


async def test_what_was_never_sent_is_no_failed_call(tmp_path: Path) -> None:
    class Closed(Layer):
        async def send(self, call: Call) -> ChatResponse:
            raise RateLimited("the circuit is open")

    meter = Meter()
    async with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        inner = LedgeredClient(Closed(), ledger, "e")
        client = BudgetedClient(inner, Budget(Caps()), PRICE, meter.tally("small", "target"))
        with pytest.raises(RateLimited):
            await client.chat(asked(1))
    assert meter.report().failed == 0
