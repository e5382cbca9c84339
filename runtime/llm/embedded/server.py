"""The process that runs the embedded model; the parent writes its order, reads one line, and hangs up.

It is run by its path, so it imports nothing of the package and is up as fast as the engine loads. The
order is a line of JSON on stdin (not in the arguments, which other users can read); readiness is a line
of JSON on stdout. It lives as long as its stdin is open, and so never longer than its parent.
"""

import json
import os
import select
import signal
import sys
import time
from importlib import import_module
from threading import Thread
from typing import Any, TypedDict


class Order(TypedDict):
    """The model to serve: tokens count per call, `prefix` is the secret first part of every path."""

    gguf: str
    name: str
    prefix: str
    parallel: int
    context: int
    threads: int
    quiet: bool


class Ready(TypedDict):
    """The address it listens at, as scheme, host and port."""

    address: str


# A prompt is computed in pieces of at most so many tokens. From 64 tokens on, the engine's attention takes
# another path with another rounding, and a reply would depend on what shares its batch: the likeliest
# label of every eighth to fifth review flipped between one call at a time and eight. Below it, and with a
# cache of its own for each slot, replies are equal bit for bit, at the same speed.
PIECE = 32


def settings(engine: Any, order: Order) -> Any:
    """The engine's settings for an order; the compiled `engine` comes without types."""
    params = engine.CommonParams()
    params.model.path, params.model_alias = order["gguf"], {order["name"]}
    params.hostnames, params.port, params.api_prefix = ["127.0.0.1"], 0, order["prefix"]
    params.n_parallel, params.n_ctx = order["parallel"], order["parallel"] * order["context"]
    params.n_ubatch, params.kv_unified = PIECE, False
    params.cache_ram_mib = 0  # copies of past prompts would grow to gigabytes; slots keep the shared prefix
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads, cpu.poll = order["threads"], 0
    params.fit_params = params.ui = params.endpoint_slots = False
    params.verbosity = 3
    return params


def read_order() -> Order:
    """The first line of stdin. Exits when the parent is gone before it wrote one."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 4096)
        if not piece:
            os._exit(0)
        line += piece
    return json.loads(line)


def end_with_parent_while_loading() -> None:
    """Let the kernel end this process at the end of stdin: the engine lets no Python thread run then.

    Linux only (SIGIO ends a process by default there); elsewhere the process ends once it has loaded.
    """
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([0], [], [], 0)[0]:
            os._exit(0)


def end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    parent = os.getppid()
    answer = os.dup(1)
    os.dup2(2, 1)  # everything the engine prints is log
    order = read_order()
    end_with_parent_while_loading()
    Thread(target=end_with_stdin, daemon=True).start()

    engine: Any = import_module("xllamacpp")
    server = engine.Server(settings(engine, order))
    if order["quiet"]:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.write(answer, json.dumps(Ready(address=server.listening_address)).encode() + b"\n")
    os.close(answer)
    while os.getppid() == parent:  # a forked sibling may hold our stdin open beyond the parent's death
        time.sleep(1)
    os._exit(0)


if __name__ == "__main__":
    main()
