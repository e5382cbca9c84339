"""The connection to a nats-server: credentials, TLS, and the errors where there is none."""

import os
import shutil
from pathlib import Path

import anyio
import pytest

from transfer_prompting.runtime.errors import BusError
from transfer_prompting.runtime.llm.relay import NatsServer, _connection
from transfer_prompting.runtime.llm.relay._connection import NatsConnection
from transfer_prompting.scenarios import InputError

from support.nats import NatsProcess, nats_process, needs_nats

pytestmark = needs_nats


async def test_a_server_that_is_not_there_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_connection, "CONNECT_SECONDS", 0.5)
    with (
        anyio.fail_after(20),
        pytest.raises(BusError, match=r":9: no nats-server answers.*onnect"),
    ):
        async with NatsConnection(NatsServer(url="nats://127.0.0.1:9")):
            pass


@pytest.mark.parametrize("url", ["nats://127.0.0.1:99999", "nats://none:1"])
async def test_an_address_that_cannot_be_used_is_an_input_error(url: str):
    with anyio.fail_after(20), pytest.raises(InputError, match="address or credentials cannot be used"):
        async with NatsConnection(NatsServer(url=url)):
            pass


async def test_wrong_credentials_are_refused_at_once(tmp_path: Path):
    with nats_process(tmp_path, "--user", "me", "--pass", "right") as server, anyio.fail_after(20):
        async with NatsConnection(NatsServer(url=server.url, user="me", password="right")) as connection:
            assert connection.client.is_connected
        begin = anyio.current_time()
        with pytest.raises(InputError, match=r"refuses these credentials.*Authorization"):
            async with NatsConnection(NatsServer(url=server.url, user="me", password="wrong")):
                pass
        assert anyio.current_time() - begin < _connection.CONNECT_SECONDS / 2


async def test_credentials_that_are_refused_later_end_the_connection(tmp_path: Path):
    ended = anyio.Event()
    with nats_process(tmp_path) as server, anyio.fail_after(20):
        async with NatsConnection(NatsServer(url=server.url), on_end=ended.set) as connection:
            server.kill()
            server.start("--user", "me", "--pass", "new")
            await ended.wait()
    assert isinstance(connection.failure, InputError)
    assert "refuses these credentials" in str(connection.failure)


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read"), ("no JWT", "not a .creds file"), (b"\xff", "cannot be read")]
)
async def test_a_file_of_credentials_is_read_before_it_is_used(
    nats: NatsProcess, tmp_path: Path, text: str | bytes | None, said: str
):
    path = tmp_path / "my.creds"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with anyio.fail_after(20), pytest.raises(InputError, match=said):
        async with NatsConnection(NatsServer(url=nats.url, credentials=str(path))):
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
        async with NatsConnection(trusted) as connection:
            await connection.client.flush()
    with pytest.raises(InputError, match="files for TLS cannot be read"):
        async with NatsConnection(NatsServer(url=url, ca=str(tmp_path / "nothing"))):
            pass
