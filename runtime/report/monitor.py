"""Metrics (Prometheus text format 0.0.4) and health of a run or a worker, over HTTP."""

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import msgspec
from aiohttp import web

from ...scenarios.errors import InputError
from ..bus import Event
from ..llm.stack import SpendingNow
from ..llm.workers import WorkerState
from ..messages import CandidatesProposed, ProblemMet, PromptScored, RunEnded, RunStarted, TargetTested
from ._server import HEADERS, LOOPBACK, listening
from .progress import RunProgress

PREFIX = "tprompt_"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Family(msgspec.Struct, frozen=True):
    """Samples of one metric: each its labels and its value. Names of counters end in `_total`."""

    name: str
    help: str
    samples: tuple[tuple[Mapping[str, str], float], ...]
    kind: Literal["counter", "gauge"] = "gauge"


class Health(msgspec.Struct, frozen=True):
    """Whether a process does its work, and what it is doing; an unhealthy one is answered with 503."""

    healthy: bool
    status: str


def exposition(families: Iterable[Family]) -> str:
    """Families in the text format of Prometheus; those without a sample are left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            name = PREFIX + family.name
            lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
            lines += [f"{name}{_labels(labels)} {value:.17g}" for labels, value in family.samples]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def information(kind: str, name: str) -> Family:
    """The constant sample that says what runs here."""
    try:
        own = version("transfer-prompting")
    except PackageNotFoundError:
        own = "unknown"
    return Family(f"{kind}_info", "What runs here.", (({"name": name, "version": own}, 1.0),))


class RunMonitor:
    """Metrics and health of a run, from its events and from what is spent.

    `now` is called only once the run has begun.
    """

    def __init__(self, name: str, now: Callable[[], SpendingNow]) -> None:
        self._name = name
        self._now = now
        self._status = "starting"
        self._spending = SpendingNow({}, {})
        self._counts = {"candidates": 0, "scored": 0, "tested": 0, "problems": 0}
        self._progress = RunProgress(None)

    def take(self, event: Event) -> None:
        """Take in an event; to be subscribed to a bus."""
        self._progress.apply(event)
        match event:
            case RunStarted():
                self._status = "running"
            case RunEnded():
                self._read()
                self._status = event.status
            case CandidatesProposed():
                self._counts["candidates"] += len(event.prompts)
            case PromptScored():
                self._counts["scored"] += 1
            case TargetTested():
                self._counts["tested"] += 1
            case ProblemMet():
                self._counts["problems"] += 1
            case _:
                pass

    def health(self) -> Health:
        """The status of the run; healthy as long as this process can answer."""
        return Health(True, self._status)

    def families(self) -> Iterator[Family]:
        """Every metric, at this moment."""
        self._read()
        yield information("run", self._name)
        yield Family("run_status", "1 for the status that the run has.", (({"status": self._status}, 1.0),))
        for name, help in _EVENTS.items():
            yield Family(f"{name}_total", help, (({}, float(self._counts[name])),), "counter")
        found = ((scope, search.objective) for scope, search in self._progress.searches.items())
        best = tuple(({"search": scope}, value) for scope, value in found if value is not None)
        yield Family("best_objective", "Objective in [0, 1] of the prompt that leads each search.", best)
        yield from self._models()
        spent = self._spending.budget
        yield Family(
            "budget_spent", "Spent of each cap.", tuple(({"cap": c}, one.spent) for c, one in spent.items())
        )
        caps = tuple(({"cap": c}, one.cap) for c, one in spent.items() if one.cap is not None)
        yield Family("budget_cap", "Caps of the budget.", caps)

    def _models(self) -> Iterator[Family]:
        models = self._spending.models
        calls = tuple(
            ({"model": name, "outcome": outcome}, float(count))
            for name, model in models.items()
            for outcome, count in (
                ("answered", model.used.calls),
                ("replayed", model.used.replayed),
                ("failed", model.used.failed),
                ("retried", model.used.retries),
            )
        )
        yield Family("calls_total", "Model calls by what became of them, and retries.", calls, "counter")
        tokens = tuple(
            ({"model": name, "type": kind.removesuffix("_tokens")}, float(getattr(model.used, kind)))
            for name, model in models.items()
            for kind in ("prompt_tokens", "completion_tokens")
        )
        yield Family("tokens_total", "Tokens used.", tokens, "counter")
        usd = tuple(({"model": name}, model.used.usd) for name, model in models.items())
        yield Family("usd_total", "US dollars at the scenario's prices.", usd, "counter")
        for name, help in _LIMITS.items():
            values = tuple(
                ({"model": model}, float(getattr(now.limits, name))) for model, now in models.items()
            )
            yield Family(f"calls_{name}" if name != "paused_for" else "paused_seconds", help, values)
        refused = tuple(({"model": name}, float(now.limits.rejections)) for name, now in models.items())
        yield Family("refusals_total", "Calls that the endpoint refused as too many.", refused, "counter")
        waiting = tuple(({"model": name}, float(now.in_batches)) for name, now in models.items())
        yield Family("calls_in_batches", "Calls that wait for a batch.", waiting)

    def _read(self) -> None:
        if self._status == "running":
            self._spending = self._now()


class WorkerMonitor:
    """Metrics and health of a worker, from its state; without a connection to the bus it is unhealthy."""

    def __init__(self, state: Callable[[], WorkerState]) -> None:
        self._state = state

    def health(self) -> Health:
        """The status of the worker."""
        status = self._state().status
        return Health(status != "disconnected", status)

    def families(self) -> Iterator[Family]:
        """Every metric, at this moment."""
        state = self._state()
        yield information("worker", "worker")
        yield Family("worker_status", "1 for the status of the worker.", (({"status": state.status}, 1.0),))
        hand = tuple(({"model": one.model}, float(one.in_hand)) for one in state.calls)
        yield Family("worker_calls_in_hand", "Calls in hand.", hand)
        made = tuple(
            ({"model": one.model, "outcome": outcome}, float(count))
            for one in state.calls
            for outcome, count in (("answered", one.answered), ("failed", one.failed))
        )
        yield Family("worker_calls_total", "Calls made.", made, "counter")


_EVENTS = {
    "candidates": "Candidates proposed.",
    "scored": "Results of candidates on blocks of rows.",
    "tested": "Prompts scored in the final test.",
    "problems": "Problems met.",
}
_LIMITS = {
    "in_flight": "Calls in flight.",
    "waiting": "Calls that wait for the limits.",
    "window": "Calls allowed in flight.",
    "paused_for": "Seconds until the endpoint wants to be called again.",
}


_ADDRESS = re.compile(r"((?P<host>\[[^\[\]]+\]|[^\[\]]*):)?(?P<port>[0-9]{1,5})")


def address(text: str) -> tuple[str, int]:
    """Host and port of `PORT` or `HOST:PORT`; without a host the loopback. Raises InputError."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise InputError(f"--metrics {text}: expected PORT or HOST:PORT, e.g. 9100 or 0.0.0.0:9100")
    return (found["host"] or "").strip("[]") or LOOPBACK, int(found["port"])


@asynccontextmanager
async def monitored(
    families: Callable[[], Iterable[Family]], health: Callable[[], Health], *, host: str, port: int
) -> AsyncGenerator[str]:
    """Serve `/metrics` and `/health` as long as the context lasts, and give their base URL.

    On the loopback, requests under another host name are refused, so that no web page can read them by
    rebinding its own name. Raises InputError when the address is taken, or none of this machine.
    """

    async def metrics(request: web.Request) -> web.Response:
        _guard(request, host)
        return web.Response(text=exposition(families()), headers={**HEADERS, "Content-Type": TEXT})

    async def healthy(request: web.Request) -> web.Response:
        _guard(request, host)
        found = health()
        return web.Response(
            body=msgspec.json.encode({"status": found.status}),
            status=200 if found.healthy else 503,
            content_type="application/json",
            headers=HEADERS,
        )

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    application.router.add_get("/health", healthy)
    async with listening(application, what="the metrics endpoint", host=host, port=port) as bound:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{bound}"


def _guard(request: web.Request, host: str) -> None:
    name = request.host.rpartition(":")[0] or request.host
    if host == LOOPBACK and name not in (LOOPBACK, "localhost"):
        raise web.HTTPForbidden(text="This server answers under its own address only.\n")
