"""What the relay makes of lost workers, lost nats-servers, and processes of another version."""

from pathlib import Path

import anyio
import msgspec
import pytest
from nats.micro import add_service

from transfer_prompting.runtime.errors import ServerFault, Unreachable
from transfer_prompting.runtime.llm.chat import ChatRequest, Message
from transfer_prompting.runtime.llm.relay import NatsServer, Relay, RelayWorker, _wire
from transfer_prompting.runtime.llm.relay._connection import NatsConnection
from transfer_prompting.runtime.llm.relay._wire import RUN, WORKER, Metadata, Served, announced
from transfer_prompting.scenarios import InputError, Scenario

from support.chat_server import Body, chat_server
from support.nats import NatsProcess, nats_process, needs_nats
from support.runs import scenario_data
from support.workers import STAGES, bus, relayed, serving

pytestmark = needs_nats

ASKING = ChatRequest(model="small-1", messages=(Message("user", "a"),), max_tokens=5)


def scenario(base_url: str = "http://127.0.0.1:9/v1", **retry: object) -> Scenario:
    endpoint = {"base_url": base_url, "logprobs": False, "retry": retry}
    return Scenario.build(scenario_data(base_url, stages=STAGES, endpoints={"server": endpoint}))


async def test_a_call_whose_worker_gives_no_sign_of_life_is_unreachable_and_retried(nats: NatsProcess):
    one = scenario(attempts=2)
    taken = 0

    async def take(message: object) -> None:
        nonlocal taken
        taken += 1

    async with NatsConnection(NatsServer(url=nats.url)) as silent:
        await silent.client.subscribe(Served.of(one, "small").subject, queue="q", cb=take)
        await silent.flush()
        async with relayed(one, bus(nats.url, heartbeat=0.05)) as models:
            with anyio.fail_after(20), pytest.raises(Unreachable, match=r"worker was lost.*2 calls"):
                await models.client("small", "target").chat(ASKING)
    assert taken == 2
    assert models.usage().by_model["small"].failed == 1


async def test_an_unreadable_answer_is_a_server_fault(nats: NatsProcess):
    one = scenario(attempts=1)
    async with NatsConnection(NatsServer(url=nats.url)) as strange:

        async def answer(message: object) -> None:
            await strange.client.publish(message.reply, b"\xc1")  # pyright: ignore[reportAttributeAccessIssue]

        await strange.client.subscribe(Served.of(one, "small").subject, queue="q", cb=answer)
        await strange.flush()
        async with relayed(one, bus(nats.url)) as models:
            with anyio.fail_after(20), pytest.raises(ServerFault, match="unreadable answer"):
                await models.client("small", "target").chat(ASKING)


async def test_a_call_in_hand_survives_a_restart_of_the_nats_server(tmp_path: Path):
    begun, go = anyio.Event(), anyio.Event()

    async def work(body: Body) -> str:
        begun.set()
        await go.wait()
        return "yes"

    with nats_process(tmp_path) as server, anyio.fail_after(40):
        settings = bus(server.url, heartbeat=0.5)
        async with chat_server(work) as chat:
            one = scenario(chat.base_url)
            async with serving(one, settings), relayed(one, settings) as models:
                client = models.client("small", "target")
                answers: list[str] = []

                async def ask() -> None:
                    answers.append((await client.chat(ASKING)).text)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask)
                    await begun.wait()
                    server.kill()
                    server.start()
                    go.set()
                other = msgspec.structs.replace(ASKING, messages=(Message("user", "b"),))
                assert (await client.chat(other)).text == "yes"
    assert answers == ["yes"]


async def test_a_call_waits_while_the_nats_server_is_away(tmp_path: Path):
    with nats_process(tmp_path) as server, anyio.fail_after(40):
        settings = bus(server.url)
        async with chat_server(lambda body: "yes") as chat:
            one = scenario(chat.base_url)
            async with serving(one, settings), relayed(one, settings) as models:
                client = models.client("small", "target")
                await client.chat(ASKING)
                server.kill()
                other = msgspec.structs.replace(ASKING, messages=(Message("user", "b"),))
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.chat, other)
                    await anyio.wait_all_tasks_blocked()
                    server.start()
    assert chat.count == 2


async def test_a_run_refuses_workers_of_another_version(nats: NatsProcess):
    one = scenario("http://127.0.0.1:9/of-another-version")
    theirs = msgspec.structs.replace(Metadata.own(Served.of(one, "small")), protocol="999", package="9.9")
    async with NatsConnection(NatsServer(url=nats.url)) as old:
        await add_service(old.client, announced(WORKER, theirs, "old"))
        async with Relay(one, bus(nats.url)) as relay:
            with (
                anyio.fail_after(20),
                pytest.raises(
                    InputError, match=r"worker on .* protocol 999 \(transfer-prompting 9\.9\).*version"
                ),
            ):
                await relay.missing()
            async with serving(one, bus(nats.url)):
                assert await relay.missing() == {}, "one worker of this version is enough"


async def test_a_worker_refuses_runs_of_another_version(tmp_path: Path):
    with nats_process(tmp_path) as server, anyio.fail_after(20):
        theirs = msgspec.structs.replace(Metadata.own(), protocol="999", package="9.9")
        async with NatsConnection(NatsServer(url=server.url)) as old:
            await add_service(old.client, announced(RUN, theirs, "old"))
            worker = RelayWorker(scenario(), [], bus(server.url), say=lambda line: None)
            with pytest.raises(InputError, match=r"run on .* protocol 999 .*install the same version"):
                await worker.run()
            async with Relay(scenario(), bus(server.url, patience=0.1)) as relay:
                await relay.missing()
                async with serving(scenario(), bus(server.url)):
                    pass


async def test_a_missing_worker_is_reported_with_what_others_serve(nats: NatsProcess):
    other, one = scenario("http://127.0.0.1:9/other"), scenario("http://127.0.0.1:9/one")
    async with serving(other, bus(nats.url)), Relay(one, bus(nats.url, patience=0.2)) as relay:
        with anyio.fail_after(20):
            missing = await relay.missing()
    assert missing.keys() == {"small"}
    assert "workers there serve model 'small-1' of http://127.0.0.1:9/other" in missing["small"]


def test_what_the_application_answers_is_not_relayed():
    one = scenario()
    assert Relay(one, bus("nats://127.0.0.1:9"), given={"server"}).relays == {}
    assert Relay(one, bus("nats://127.0.0.1:9"), answered={"small"}).relays == {}


async def test_a_request_that_is_no_call_is_refused_and_the_worker_goes_on(nats: NatsProcess):
    async with chat_server(lambda body: "yes") as chat:
        one = scenario(chat.base_url)
        subject = Served.of(one, "small").subject
        too_often = _wire.encode(_wire.Send(ASKING, "inbox", 0.0))
        async with serving(one, bus(nats.url)), NatsConnection(NatsServer(url=nats.url)) as strange:
            with anyio.fail_after(20):
                for data in (b"", b"\xc1", too_often):
                    refused = await strange.client.request(subject, data, timeout=5)
                    assert "not a call of this protocol" in (refused.headers or {})["Nats-Service-Error"]
                async with relayed(one, bus(nats.url)) as models:
                    assert (await models.client("small", "target").chat(ASKING)).text == "yes"
    assert chat.count == 1
