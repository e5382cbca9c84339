"""Calls in batches: a run on them equals a direct one, and nothing is paid twice, whatever ends early."""

import json
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import pytest

import transfer_prompting as tp
from transfer_prompting.agents.team import Team
from transfer_prompting.runtime.llm.http.aiohttp_client import AiohttpClient
from transfer_prompting.runtime.llm.ledger.ledger import open_ledger
from transfer_prompting.scenarios import load

from support.batch_server import BatchServer, batch_server
from support.chat_server import chat_server
from support.replies import Fault, Reply
from support.runs import finished, helpful_world, lasting, scenario_data, write_scenario

QUICK = {"gather": 0.05, "poll": 0.02}
ROWS = [{"text": f"Text number {i}", "label": "ab"[i % 2]} for i in range(24)]
PRICE = {"input_per_million": 1e6, "output_per_million": 0}
"""One dollar a prompt token, half of it in a batch."""


def answer(body: Mapping[str, object]) -> Reply:
    return "Answer: a"


async def evaluated(server: BatchServer, **model: object) -> tp.EvaluationResult:
    spec = {"base_url": server.base_url, "model": "m", "batch": QUICK, "logprobs": False, **model}
    with anyio.fail_after(60):
        return await tp.evaluate("Which label?", ROWS, model=spec, kind="classification", confidence="none")


def bodies(server: BatchServer) -> Counter[str]:
    return Counter(json.dumps(body, sort_keys=True) for body in server.answered)


def written(folder: Path, base_url: str, batch: object = None, **changes: object) -> Path:
    data: dict[str, Any] = scenario_data(base_url, deterministic=True, **changes)
    data["budget"] = {"evaluations": 80}
    if batch is not None:
        data["endpoints"]["server"]["batch"] = batch
    data["models"]["small"]["price"] = PRICE
    folder.mkdir(exist_ok=True)
    return write_scenario(folder, data)


async def test_a_run_with_batches_equals_a_direct_run_at_a_lower_price(tmp_path: Path):
    async with batch_server(helpful_world()) as server:
        batched = await finished(load(written(tmp_path / "one", server.base_url, QUICK)))
        in_batches, directly = len(server.answered), server.direct
        direct = await finished(load(written(tmp_path / "two", server.base_url)))
    assert lasting(batched) == lasting(direct)
    assert in_batches >= 80
    assert server.direct - directly == directly + in_batches
    tested = sum(len(str(body["messages"]).split()) for body in server.answered)
    saved = direct.usage.usd - batched.usage.usd
    assert 0.3 * tested < saved < 0.7 * tested


async def test_a_run_that_is_killed_while_its_batch_is_under_way_waits_for_the_same_batch(tmp_path: Path):
    async with batch_server(helpful_world()) as server:
        server.hold()
        path = written(tmp_path, server.base_url, QUICK, strategy="original")
        out = tmp_path / "out"
        command = [sys.executable, "-m", "transfer_prompting", "run", str(path), "--out", str(out), "-q"]
        with anyio.fail_after(100):
            async with await anyio.open_process(command, stdout=DEVNULL, stderr=DEVNULL) as run:
                record = out / "batches.jsonl"
                while not (record.exists() and b'"batch":' in record.read_bytes()):  # noqa: ASYNC110 - theirs
                    await anyio.sleep(0.02)
                run.send_signal(signal.SIGKILL)
                await run.wait()
        before, created = server.direct, server.created
        server.release()
        resumed = await finished(load(path), out)
        again = await finished(load(path), out)
        assert server.created == created
        assert server.direct == before
        assert set(bodies(server).values()) == {1}
        direct = await finished(load(written(tmp_path / "two", server.base_url, strategy="original")))
    assert lasting(resumed) == lasting(direct)
    assert lasting(again) == lasting(direct)


async def test_a_batch_whose_id_was_not_recorded_any_more_is_found_by_its_file(tmp_path: Path):
    async with batch_server(helpful_world()) as server:
        server.hold()
        path, out = written(tmp_path, server.base_url, QUICK, strategy="original"), tmp_path / "out"
        with anyio.fail_after(60):
            async with Team(load(path), out=out) as team, anyio.create_task_group() as tasks:
                tasks.start_soon(team.run)
                await server.started.wait()
                tasks.cancel_scope.cancel()
        record = out / "batches.jsonl"
        lines = [json.loads(line) for line in record.read_bytes().splitlines()]
        kept = [json.dumps(line) for line in lines if "batch" not in line]
        record.write_text("\n".join([*kept, '{"endpoint": "htt']), encoding="utf-8")  # killed as it wrote
        server.release()
        created = server.created
        results = await finished(load(path), out)
    assert results.status == "complete"
    assert server.created == created
    assert set(bodies(server).values()) == {1}


async def test_the_cap_on_minutes_ends_the_wait_for_a_batch_and_the_next_invocation_takes_its_answers(
    tmp_path: Path,
):
    async with batch_server(helpful_world()) as server:
        server.hold()
        path, out = written(tmp_path, server.base_url, QUICK, strategy="original"), tmp_path / "out"
        with anyio.fail_after(100):
            ended = await finished(load(path, ["budget.minutes=0.03"]), out)
        server.release()
        resumed = await finished(load(path), out)
    assert ended.status == "budget"
    assert resumed.status == "complete"
    assert server.created == 1
    assert set(bodies(server).values()) == {1}


async def test_a_run_that_is_cancelled_stops_asking_for_its_batch_before_its_connections_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    close = AiohttpClient.__aexit__

    async def slowly(client: AiohttpClient, *error: Any) -> None:
        await close(client, *error)
        await anyio.sleep(0.1)

    monkeypatch.setattr(AiohttpClient, "__aexit__", slowly)
    async with batch_server(helpful_world()) as server:
        server.hold()
        path = written(tmp_path, server.base_url, {"gather": 0.05, "poll": 0.001}, strategy="original")
        with anyio.fail_after(60):
            async with Team(load(path)) as team, anyio.create_task_group() as tasks:
                tasks.start_soon(team.run)
                await server.started.wait()
                tasks.cancel_scope.cancel()
    assert server.created == 1


async def test_a_batch_that_was_started_though_the_answer_was_lost_is_not_started_again():
    async with batch_server(answer) as server:
        server.lose_answer = True
        result = await evaluated(server)
    assert result.scorecard.accuracy == 0.5
    assert set(bodies(server).values()) == {1}
    assert len(server.files) == 2 * server.created  # no calls but those of the batches were uploaded


async def test_the_calls_that_an_expired_batch_left_go_into_another():
    async with batch_server(answer) as server:
        server.outcomes = ["expired"]
        result = await evaluated(server)
    assert (result.scorecard.n, result.scorecard.failed) == (24, 0)
    assert server.created >= 2
    assert set(bodies(server).values()) == {1}


async def test_the_calls_that_a_cancelled_batch_left_have_failed():
    async with batch_server(answer) as server:
        server.outcomes = ["cancelled"] * 24
        result = await evaluated(server)
    assert result.scorecard.failed >= 12
    assert any("batch_cancelled" in problem for problem in result.problems)
    assert set(bodies(server).values()) == {1}


async def test_single_calls_that_fail_in_a_batch_are_tried_again():
    failing = {f"Text number {i}" for i in range(1, 9, 2)}

    def sometimes(body: Mapping[str, object]) -> Reply:
        text = str(body["messages"])
        for one in [one for one in failing if one in text and f"{one}0" not in text]:
            failing.discard(one)
            return Fault(500, "The server had an error")
        return "Answer: a"

    async with batch_server(sometimes) as server:
        result = await evaluated(server)
    assert (result.scorecard.n, result.scorecard.failed) == (24, 0)
    assert set(bodies(server).values()) == {1}


async def test_a_batch_too_large_for_the_queue_is_made_in_halves():
    async with batch_server(answer) as server:
        server.queue = 7
        result = await evaluated(server)
    assert (result.scorecard.n, result.scorecard.failed) == (24, 0)
    assert set(bodies(server).values()) == {1}


async def test_what_an_endpoint_says_of_a_batch_that_failed_is_shown():
    async with batch_server(answer) as server:
        server.outcomes = ["failed"] * 24
        with pytest.raises(tp.EndpointError, match=r"refused batch batch_0: This line is not parseable\."):
            await evaluated(server)


async def test_an_endpoint_without_a_batch_api_is_named():
    async with chat_server(answer) as server:
        spec = {"base_url": server.base_url, "model": "m", "batch": QUICK, "logprobs": False}
        with (
            anyio.fail_after(60),
            pytest.raises(tp.EndpointError, match=r"has no Batch API .*remove endpoints"),
        ):
            await tp.evaluate("Which label?", ROWS, model=spec, kind="classification", confidence="none")


async def test_several_draws_of_a_row_go_together():
    async with batch_server(answer) as server:
        spec = {"base_url": server.base_url, "model": "m", "batch": QUICK, "logprobs": False}
        with anyio.fail_after(60):
            await tp.evaluate("?", ROWS, model=spec, kind="classification", confidence="agreement", samples=3)
    assert Counter(bodies(server).values()) == {3: 24}


async def test_spending_of_earlier_invocations_in_batches_is_known_apart(tmp_path: Path):
    async with batch_server(helpful_world()) as server:
        path, out = written(tmp_path, server.base_url, QUICK, strategy="original"), tmp_path / "out"
        results = await finished(load(path), out)
    async with open_ledger(out / "ledger.sqlite") as ledger:
        paid = {one.batched: one for one in ledger.earlier.paid if one.model == "small-1"}
    assert paid[True].attempts == len(server.answered)
    usd = paid[False].prompt_tokens + paid[True].prompt_tokens / 2
    assert results.usage.usd == pytest.approx(usd)


def test_a_record_that_is_damaged_is_named(tmp_path: Path):
    path, out = written(tmp_path, "http://127.0.0.1:9/v1", QUICK), tmp_path / "out"
    out.mkdir()
    (out / "batches.jsonl").write_text("{\n{}\n", encoding="utf-8")

    async def opened() -> None:
        async with Team(load(path), out=out):
            pass

    with pytest.raises(tp.InputError, match=r"batches\.jsonl:1: no record of a batch"):
        anyio.run(opened)


@pytest.mark.parametrize(
    "endpoint",
    [{"host": "h", "batch": True}, {"base_url": "http://127.0.0.1:9/v1", "client": "openai", "batch": True}],
)
def test_batches_need_a_server_that_this_package_calls_itself(tmp_path: Path, endpoint: dict[str, object]):
    data = scenario_data("http://127.0.0.1:9/v1", endpoints={"server": endpoint})
    with pytest.raises(tp.InputError, match="batch needs a base_url, and client: aiohttp"):
        tp.Scenario.build(data)


def test_a_client_of_the_host_makes_no_batches(tmp_path: Path):
    path = written(tmp_path, "http://127.0.0.1:9/v1", True)

    class Mine:
        async def chat(self, request: tp.ChatRequest) -> tp.ChatResponse:
            raise AssertionError

    with pytest.raises(tp.InputError, match=r"endpoints\.server\.batch: its calls are made by a client"):
        tp.Team(load(path), clients={"server": Mine()}).check()
