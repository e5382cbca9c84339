"""`tprompt run --live`: the page of a run in progress, from the command line."""

import signal
from pathlib import Path

import aiohttp
import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from support.commands import half_way, outputs, told, tprompt
from support.runs import simulated


async def until(lines: BufferedByteReceiveStream, words: str) -> str:
    """The first line that holds these words."""
    while words not in (line := (await lines.receive_until(b"\n", 10_000)).decode()):
        pass
    return line


async def test_a_run_is_served_as_it_goes_and_kept_until_ctrl_c(tmp_path: Path):
    async with half_way(tmp_path, "--quiet", "--live", "--keep") as (process, _, go_on):
        assert process.stderr is not None
        lines = BufferedByteReceiveStream(process.stderr)
        url = (await until(lines, "live view: ")).removeprefix("live view: ").strip()
        async with aiohttp.ClientSession() as client:
            async with client.get(url) as response:
                first = await response.text()
            go_on.set()
            await until(lines, "still serving")
            async with client.get(url) as response:
                last = await response.text()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert '"status":"running"' in first
    assert '"status":"complete"' in last
    assert (tmp_path / "out" / "report.html").is_file()


async def test_an_interrupted_run_is_not_kept(tmp_path: Path):
    async with half_way(tmp_path, "--live", "--keep") as (process, _, go_on):
        process.send_signal(signal.SIGINT)
        go_on.set()
        _, errors = await outputs(process)
        assert process.returncode == 130
    assert "to continue: " in errors


async def test_to_keep_what_is_not_live_is_refused(tmp_path: Path):
    async with simulated(tmp_path):
        done = await tprompt("run", "scenario.yaml", "--keep", cwd=tmp_path)
    assert "--live" in told(done, 2)


async def test_a_port_that_is_taken_ends_with_2(tmp_path: Path):
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, simulated(tmp_path) as (_, _, server):
        done = await tprompt("run", "scenario.yaml", "--live", "--port", str(port), cwd=tmp_path)
        assert server.count == 0
    assert f"port {port}" in told(done, 2)
