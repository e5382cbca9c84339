"""The call ledger on real files, and in real processes that die."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from transfer_prompting.runtime.errors import (
    BudgetReached,
    CallFailed,
    ContextTooLong,
    ParameterRefused,
    RateLimited,
)
from transfer_prompting.runtime.llm.chat import (
    ChatRequest,
    ChatResponse,
    Message,
    TokenChoice,
    TokenLogprob,
    Unanswered,
    Usage,
)
from transfer_prompting.runtime.llm.ledger._rows import call_key, endpoint_identity
from transfer_prompting.runtime.llm.ledger.ledger import Ledger
from transfer_prompting.runtime.llm.ledger.records import LedgerFailed, Paid
from transfer_prompting.scenarios.endpoints import Endpoint

HERE = "http://host/v1"


def asked(text: str = "What?") -> ChatRequest:
    return ChatRequest(model="m", messages=(Message("user", text),), max_tokens=9)


def answered(text: str = "B") -> ChatResponse:
    return ChatResponse(text=text, usage=Usage(11, 3), seconds=0.25, attempts=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "ledger.sqlite"


async def test_a_recorded_call_is_found_by_the_next_invocation_to_the_bit(path: Path) -> None:
    choice = TokenChoice("B", -0.1 / 3, (TokenLogprob("B", -0.1 / 3), TokenLogprob("é", -2.0)))
    response = replace(answered("Antwort: ß\n"), finish_reason="stop", tokens=(choice,))
    key = call_key(HERE, asked())
    async with Ledger.open(path) as ledger:
        assert ledger.find(key) is None
        await ledger.record(key, HERE, "m", response)
    async with Ledger.open(path) as ledger:
        found = ledger.find(key)
    assert found is not None
    assert found.replayed
    assert found == replace(response, replayed=True)


async def test_what_may_have_been_billed_and_what_was_batched_is_recorded_too(path: Path) -> None:
    response = replace(answered(), uncounted=Usage(7, 5), batched=True)
    async with Ledger.open(path) as ledger:
        await ledger.record(b"k" * 16, HERE, "m", response)
        assert ledger.find(b"k" * 16) == replace(response, replayed=True)


async def test_a_look_up_finds_what_any_invocation_recorded_and_nothing_else(path: Path) -> None:
    early, late, never = ([call_key(HERE, asked(f"{when} {i}")) for i in range(300)] for when in "eln")
    for keys in (early, late):
        async with Ledger.open(path) as ledger:
            for key in keys:
                ledger.put(key, HERE, "m", answered())
            await ledger.put(keys[0], HERE, "m", answered()).committed()
            assert all(ledger.find(key) is not None for key in (*early, *(late if keys is late else ())))
            assert not any(ledger.find(key) for key in never)


async def test_the_first_response_of_a_key_stands(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        await ledger.record(b"k" * 16, HERE, "m", answered("first"))
        await ledger.record(b"k" * 16, HERE, "m", answered("second"))
        found = ledger.find(b"k" * 16)
    assert found is not None
    assert found.text == "first"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    one=st.tuples(st.text(), st.integers(1, 3), st.floats(0, 2), st.integers(0, 2)),
    two=st.tuples(st.text(), st.integers(1, 3), st.floats(0, 2), st.integers(0, 2)),
)
def test_keys_are_equal_exactly_where_requests_are(
    one: tuple[str, int, float, int], two: tuple[str, int, float, int]
) -> None:
    def key(fields: tuple[str, int, float, int]) -> bytes:
        text, most, temperature, sample = fields
        request = asked(text.encode("utf-8", "replace").decode())
        return call_key(HERE, replace(request, max_tokens=most, temperature=temperature, sample=sample))

    assert len(key(one)) == 16
    assert (key(one) == key(two)) == (repr(one) == repr(two))


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"messages": (Message("system", "What?"),)},
        {"messages": (Message("user", "What"), Message("user", "?"))},
        {"max_tokens": 10},
        {"temperature": 1.0},
        {"top_p": 0.5},
        {"top_logprobs": 5},
        {"seed": 1},
        {"json_object": True},
        {"sample": 1},
        {"extra_body": {"top_k": 40}},
    ],
)
def test_every_field_of_a_request_is_part_of_its_key(change: dict[str, object]) -> None:
    assert call_key(HERE, replace(asked(), **change)) != call_key(HERE, asked())
    assert call_key("http://other/v1", asked()) != call_key(HERE, asked())


def test_keys_stay_the_same_between_versions() -> None:
    assert call_key(HERE, asked()).hex() == "fae358a716214d70909683b5bca82a96"


@pytest.mark.parametrize(
    ("endpoint", "identity"),
    [
        ({"base_url": "https://API.Example.com:443/v1/"}, "https://api.example.com/v1"),
        ({"base_url": "http://me:secret@localhost:8000/v1?x=1"}, "http://localhost:8000/v1"),
        ({"local": "smollm2-135m-instruct"}, "local:smollm2-135m-instruct"),
        ({"local": "models/deep/tiny.gguf"}, "local:tiny.gguf"),
        ({"host": "support-agent-3"}, "host:support-agent-3"),
    ],
)
def test_an_endpoint_is_the_same_however_it_is_written(endpoint: dict[str, str], identity: str) -> None:
    assert endpoint_identity(Endpoint.model_validate(endpoint)) == identity


async def test_callers_of_one_moment_share_commits_and_all_find_their_rows(path: Path) -> None:
    async with Ledger.open(path) as ledger:

        async def record(i: int) -> None:
            key = i.to_bytes(16)
            await ledger.record(key, HERE, "m", answered(str(i)))
            found = ledger.find(key)
            assert found is not None
            assert found.text == str(i)

        async with anyio.create_task_group() as tasks:
            for i in range(500):
                tasks.start_soon(record, i)
    assert _count(path, "calls") == 500


async def test_a_call_and_a_failure_that_come_while_others_are_written_are_written_next(path: Path) -> None:
    with anyio.fail_after(30):
        async with Ledger.open(path) as ledger:
            ledger.put(b"a" * 16, HERE, "m", answered())
            await anyio.lowlevel.checkpoint()  # the batch of this call is handed over
            ledger.put(b"b" * 16, HERE, "m", answered())
            await ledger.put_failure(b"c" * 16, HERE, "m", Unanswered(1), RateLimited("busy")).committed()
    assert (_count(path, "calls"), _count(path, "failures")) == (2, 1)


async def test_a_cancelled_caller_loses_no_row(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await ledger.record(b"k" * 16, HERE, "m", answered())
    assert _count(path, "calls") == 1


async def test_a_cancelled_run_still_writes_what_was_handed_in(path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with Ledger.open(path) as ledger:
            for i in range(100):
                ledger.put(i.to_bytes(16), HERE, "m", answered())
            scope.cancel()
            await anyio.sleep_forever()
    assert _count(path, "calls") == 100


async def test_an_error_of_the_run_leaves_alone_not_in_a_group(path: Path) -> None:
    with pytest.raises(BudgetReached, match="enough"):
        async with Ledger.open(path):
            raise BudgetReached("enough")


async def test_what_earlier_invocations_spent_is_counted(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        assert ledger.earlier.seconds == 0
        await ledger.record(b"a" * 16, HERE, "m", answered())
        await ledger.record(b"b" * 16, HERE, "m", answered())
        await ledger.record(b"c" * 16, HERE, "n", answered(), paid=False)
        await ledger.put_failure(b"d" * 16, HERE, "m", Unanswered(6), RateLimited("busy")).committed()
        await ledger.put_failure(b"e" * 16, HERE, "m", Unanswered(1), BudgetReached("enough")).committed()
    async with Ledger.open(path) as ledger:
        before = ledger.earlier
        failure, cut = ledger.failure(b"d" * 16), ledger.failure(b"e" * 16)
    assert before.seconds > 0
    assert (len(before.failed), before.failed_attempts) == (2, 7)
    (paid,) = before.paid
    assert (paid.endpoint, paid.model, paid.attempts) == (HERE, "m", 4)
    assert (paid.prompt_tokens, paid.completion_tokens) == (22, 6)
    assert isinstance(failure, RateLimited)
    assert str(failure) == "busy"
    assert cut is None


async def test_what_failed_calls_may_have_used_is_counted_and_batches_are_apart(path: Path) -> None:
    one = Unanswered(6, Usage(100, 20))
    async with Ledger.open(path) as ledger:
        ledger.put(b"a" * 16, HERE, "m", replace(answered(), uncounted=Usage(7, 5)))
        ledger.put(b"b" * 16, HERE, "m", replace(answered(), batched=True))
        ledger.put(b"c" * 16, HERE, "a", answered())
        ledger.put_failure(b"d" * 16, HERE, "m", one, RateLimited("busy"))
        ledger.put_failure(b"e" * 16, HERE, "m", Unanswered(2), RateLimited("busy"))
        await ledger.put_failure(b"e" * 16, HERE, "m", Unanswered(1), RateLimited("busy")).committed()
        assert ledger.earlier_failures(b"d" * 16) is None
    async with Ledger.open(path) as ledger:
        assert ledger.earlier.paid == (
            Paid(HERE, "a", 2, 11, 3),
            Paid(HERE, "m", 2, 11 + 7 + 100, 3 + 5 + 20),
            Paid(HERE, "m", 2, 11, 3, batched=True),
        )
        assert ledger.earlier.failed == {b"d" * 16: one, b"e" * 16: Unanswered(3)}
        assert ledger.earlier_failures(b"d" * 16) == one
        assert ledger.earlier_failures(b"d" * 16) is None
        assert ledger.earlier_failures(b"x" * 16) is None
        assert ledger.earlier_failures(b"e" * 16) == Unanswered(3)


@pytest.mark.parametrize(
    ("error", "kind"), [(RateLimited(""), RateLimited), (ParameterRefused("x"), CallFailed)]
)
async def test_a_failure_is_known_with_its_attempts_and_its_kind_where_that_matters(
    path: Path, error: CallFailed, kind: type[CallFailed]
) -> None:
    for number in range(2):
        async with Ledger.open(path) as ledger:
            assert ledger.failure(bytes(15) + bytes([number])) is None
            await ledger.put_failure(bytes(16), HERE, "m", Unanswered(6), error).committed()
            found = ledger.failure(bytes(16))
        assert found is not None
        assert type(found) is kind
        assert (str(found), found.attempts) == (str(error), 6)


async def test_the_time_of_an_invocation_is_noted_each_second_and_at_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def noted() -> float:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT seconds FROM invocations ORDER BY id DESC").fetchone()[0]

    async with Ledger.open(path) as ledger:
        for now, seconds in ((100.9, 0), (101.0, 1.0), (101.9, 1.0), (103.0, 3.0)):
            await ledger.record(str(now).rjust(16).encode(), HERE, "m", answered())
            assert noted() == seconds
        now = 103.5
    assert noted() == 3.5
    async with Ledger.open(path) as ledger:
        assert ledger.earlier.seconds == 3.5
        now = 105.5
    async with Ledger.open(path) as ledger:
        assert ledger.earlier.seconds == 5.5
    async with Ledger.open(path, shared=True) as ledger:
        assert ledger.earlier.seconds == 0


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_ledger_that_is_removed_during_the_run_ends_it(path: Path, replaced: bool) -> None:
    says = (
        f"{path}: the call ledger cannot be written: it was removed during the run, and the calls in it are "
        "lost. Restore it, or run the same command again and pay for them"
    )

    def remove() -> None:
        path.rename(path.with_name("elsewhere"))
        if replaced:
            path.write_bytes(b"another file")

    async def run() -> None:
        async with Ledger.open(path) as ledger:
            await ledger.record(b"a" * 16, HERE, "m", answered())
            remove()
            with pytest.raises(LedgerFailed) as first:
                await ledger.record(b"b" * 16, HERE, "m", answered())
            with pytest.raises(LedgerFailed) as later:
                ledger.put(b"c" * 16, HERE, "m", answered())
            assert str(first.value) == str(later.value) == says
            await anyio.sleep_forever()

    with anyio.fail_after(5), pytest.raises(LedgerFailed) as raised:
        await run()
    assert str(raised.value) == says


async def test_the_last_failure_of_a_call_is_the_one_that_counts(path: Path) -> None:
    async with Ledger.open(path) as ledger:
        await ledger.put_failure(b"d" * 16, HERE, "m", Unanswered(6), RateLimited("busy")).committed()
        await ledger.put_failure(b"d" * 16, HERE, "m", Unanswered(1), ContextTooLong("long")).committed()
        assert isinstance(ledger.failure(b"d" * 16), ContextTooLong)


async def test_a_disk_that_refuses_fails_every_waiting_caller_and_ends_the_run(path: Path) -> None:
    told: list[str] = []

    async def record(ledger: Ledger, i: int) -> None:
        try:
            await ledger.record(i.to_bytes(16), HERE, "m", answered("x" * 4000))
        except LedgerFailed as error:
            told.append(str(error))

    async def run() -> None:
        async with Ledger.open(path) as ledger:
            ledger._writer._connection.execute("PRAGMA max_page_count = 1")
            async with anyio.create_task_group() as tasks:
                for i in range(100):
                    tasks.start_soon(record, ledger, i)
            await anyio.sleep_forever()

    with anyio.fail_after(5), pytest.raises(LedgerFailed, match="full"):
        await run()
    assert len(told) == 100
    assert all(str(path) in text and "run the same command again" in text for text in told)
    assert told[0].endswith("and run the same command again: finished calls are kept")


def _count(path: Path, table: str) -> int:
    rows: Iterator[tuple[int]]
    connection = sqlite3.connect(path)
    rows = connection.execute(f"SELECT count(*) FROM {table}")
    (count,) = next(rows)
    connection.close()
    return count
