"""Who comes in to a bus over NATS: servers, credentials, versions, leaders."""

import os
import shutil
from functools import partial
from pathlib import Path

import anyio
import pytest

from transfer_prompting.runtime.bus.nats import Hello, NatsBus, NatsServer, found
from transfer_prompting.runtime.errors import BusError
from transfer_prompting.scenarios.errors import InputError

from support.echo_host import Echo, Echoed, Join
from support.nats import NatsProcess, nats_process, needs_nats

pytestmark = needs_nats


async def echo(request: Echo) -> Echoed:
    return Echoed(request.text)


async def test_a_worker_of_another_version_or_scenario_is_refused_with_the_reason(
    nats: NatsProcess, join: Join
):
    server, name = NatsServer(url=nats.url), "run-of-versions"
    async with join() as leader:
        await leader.lead(name, {"scorer": "1", "the rows of mails": "2"})
        with anyio.fail_after(20):
            welcome = await found(server, name, Hello("w", {"scorer": "1", "the rows of mails": "2"}))
            assert (welcome.session, welcome.bus) == (leader.session, leader.id)
            with pytest.raises(InputError, match=r"w holds another scenario.*the rows of mails differ"):
                await found(server, name, Hello("w", {"scorer": "1", "the rows of mails": "3"}))
            with pytest.raises(InputError, match=r"protocol 999 \(transfer-prompting 9\.9\).*same version"):
                await found(server, name, Hello("w", {}, protocol=999, version="9.9"))


async def test_a_run_has_one_leader(join: Join):
    async with join() as one, join() as other:
        with anyio.fail_after(20):
            await one.lead("mine", {})
            with pytest.raises(InputError, match="'mine' is under way"):
                await other.lead("mine", {})


async def test_a_server_without_jetstream_is_said(tmp_path: Path):
    with (
        nats_process(tmp_path, jetstream=False) as server,
        anyio.fail_after(20),
        pytest.raises(BusError, match="start it with -js"),
    ):
        async with NatsBus(NatsServer(url=server.url)):
            pass


async def test_a_server_that_is_not_there_or_lets_nobody_in_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("transfer_prompting.runtime.bus.nats.server.PATIENCE", 1.0)
    with anyio.fail_after(20), pytest.raises(BusError, match=r"127\.0\.0\.1:9: no nats-server"):
        async with NatsBus(NatsServer(url="nats://127.0.0.1:9")):
            pass
    with nats_process(tmp_path, "--user", "me", "--pass", "right") as server, anyio.fail_after(20):
        async with NatsBus(NatsServer(url=server.url, user="me", password="right")):
            pass
        with pytest.raises(BusError, match=r"(?i)authorization"):
            async with NatsBus(NatsServer(url=server.url, user="me", password="wrong")):
                pass


@pytest.mark.skipif(
    shutil.which("openssl") is None and "CI" not in os.environ, reason="run: apt-get install openssl"
)
async def test_tls_takes_the_authority_and_the_certificate_that_are_named(tmp_path: Path):
    own, key = str(tmp_path / "own.pem"), str(tmp_path / "own.key")
    made = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    )
    await anyio.run_process([*made.split(), "-out", own, "-keyout", key])
    tls = ("--tls", "--tlsverify", "--tlscert", own, "--tlskey", key, "--tlscacert", own)
    with nats_process(tmp_path, *tls) as server, anyio.fail_after(30):
        url = server.url.replace("nats://", "tls://")
        trusted = NatsServer(url=url, ca=own, certificate=own, key=key)
        async with NatsBus(trusted) as bus, anyio.create_task_group() as tasks:
            await tasks.start(partial(bus.serve, Echo, echo))
            assert await bus.ask(Echo("in the dark")) == Echoed("in the dark")
            tasks.cancel_scope.cancel()
    with pytest.raises(InputError, match="files for TLS cannot be read"):
        async with NatsBus(NatsServer(url=url, ca=str(tmp_path / "nothing"))):
            pass
