"""One chaos run as a process: killed, signalled or out of disk at a random request, then resumed."""

import json
import os
import random
import resource
import signal
import subprocess
from collections import Counter
from pathlib import Path

import anyio

from transfer_prompting.runtime.record.results import load_results

from chaos.runs import TEMPORARY, every_row_once, hold, outcome
from support.chat_server import Body, ChatServer, Reply
from support.commands import COMMAND
from support.runs import AT_ONCE, simulated

KILLS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "disk")
SAYS = {"SIGTERM": 130, "SIGINT": 130, "SIGHUP": 130, "SIGKILL": -signal.SIGKILL}
_SMALL = {"train": 6, "validation": 6, "test": 12}


async def killed_run(seed: int, kind: str, folder: Path) -> Counter[str]:
    """Start a run, end it by `kind`, and run the same command again; raises Broken as `chaos_run` does."""
    draw = random.Random(f"kill {seed}")
    moment, limit = draw.randint(1, 120), draw.randint(1, 300) * 1024
    async with simulated(folder, budget={"evaluations": 80}) as (_, world, server):
        victim: list[int] = []

        def behaviour(body: Body) -> Reply:
            if server.count >= moment and victim and kind != "disk":
                os.kill(victim.pop(), getattr(signal, kind))
            return world(body)

        server.behaviour = behaviour
        code, err = await _command(folder, victim, limit if kind == "disk" else None)
        await server.disconnected()
        hold("Traceback" not in err, f"{kind}: {err[-2000:]}")
        expected = {SAYS[kind]} if kind != "disk" else {0, 1, 2}
        hold(code in {*expected, 0}, f"{kind}: exit code {code}: {err[-500:]}")
        paid = server.count
        code, err = await _command(folder, [], None)
        hold(code == 0, f"after {kind}: exit code {code}: {err[-500:]}")
        await server.disconnected()
        again = _again(server)
        most = 2 * AT_ONCE if kind in ("SIGKILL", "disk") else 0
        hold(again <= most, f"after {kind}: {again} calls were made twice")
        second, asked = load_results(folder / "out" / "results.json"), server.count
        every_row_once(folder / "out", second)
        code, _ = await _command(folder, [], None)
        hold(code == 0 and server.count == asked, f"after {kind}: a finished run made calls again")
        third = load_results(folder / "out" / "results.json")
        hold(outcome(third) == outcome(second), f"after {kind}: a finished run has another result")
        left = [path.name for path in (folder / "out").iterdir() if path.name.endswith(TEMPORARY)]
        hold(not left, f"after {kind}: files left: {', '.join(left)}")
    return Counter({f"process: {kind}": 1, "requests": asked, "requests again": again, "before": paid})


def _again(server: ChatServer) -> int:
    """Requests beyond the first of each body."""
    bodies = Counter(json.dumps(body, sort_keys=True) for body in server.bodies)
    return bodies.total() - len(bodies)


async def _command(folder: Path, victim: list[int], limit: int | None) -> tuple[int, str]:
    """The exit code and stderr of the run; `limit` bounds the bytes of each file that it writes."""

    command = [*COMMAND, "run", "scenario.yaml", "--out", "out", "-q"]
    settings = [f"tasks.{task}.split={json.dumps(_SMALL)}" for task in ("reviews", "mails", "tickets")]
    command += [part for setting in settings for part in ("--set", setting)]
    command += ["--set", "endpoints.server.hedge=false"]
    with anyio.fail_after(120):
        process = await anyio.open_process(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if limit is not None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        victim.append(process.pid)
        assert process.stderr is not None
        said = b"".join([piece async for piece in process.stderr])
        code = await process.wait()
        await process.aclose()
    victim.clear()
    return code, said.decode(errors="replace")
