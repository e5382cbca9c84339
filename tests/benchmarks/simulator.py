"""Starts the chat simulator as a process of its own, and asks it what it counted."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

_open = build_opener(ProxyHandler({})).open


class Simulator:
    """A running simulator. `base_url` is what a chat client needs."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._root = base_url.removesuffix("/v1")

    def stats(self) -> dict[str, Any]:
        """What it counted since its start or the last reset."""
        with _open(f"{self._root}/stats") as answer:
            return json.load(answer)

    def reset(self) -> None:
        with _open(Request(f"{self._root}/reset", method="POST")) as answer:
            answer.read()


@contextmanager
def simulator(*arguments: str) -> Generator[Simulator]:
    """Run the simulator with these command-line arguments until the context is left."""
    script = Path(__file__).with_name("chat_simulator.py")
    command = [sys.executable, str(script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Simulator(json.loads(process.stdout.readline())["base_url"])
        finally:
            process.terminate()
