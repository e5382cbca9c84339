"""A real nats-server on a free port of the loopback, to be started, killed and started again."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

missing = [
    what
    for what, there in (
        ("apt-get install nats-server", shutil.which("nats-server") is not None),
        ("pip install nats-py", find_spec("nats") is not None),
    )
    if not there
]

needs_nats = pytest.mark.skipif(
    bool(missing) and "CI" not in os.environ, reason=f"run: {' && '.join(missing)}"
)


class NatsProcess:
    """A nats-server that keeps its port when it is started again."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self.port = -1

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> None:
        """Return when it is ready. `arguments` are added to those of the first start."""
        command = ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), *self._arguments, *arguments]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=self._folder)
        assert self._process.stderr is not None
        said: list[str] = []
        for line in self._process.stderr:
            said.append(line)
            if "Listening for client connections on" in line:
                self.port = int(line.rsplit(":", 1)[1])
            if "Server is ready" in line:
                break
        else:
            raise RuntimeError(f"nats-server did not start: {''.join(said)}")
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        self._process.wait(timeout=20)
        self._reader.join()
        self._process.stderr.close()


@contextmanager
def nats_process(folder: Path, *arguments: str) -> Generator[NatsProcess]:
    """A running server in `folder`; `arguments` are more of its flags."""
    server = NatsProcess(folder, *arguments)
    server.start()
    try:
        yield server
    finally:
        server.stop()
