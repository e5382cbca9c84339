"""Messages of the relay, their subjects, and discovery of workers and runs.

Every worker runs a NATS micro service (ADR-32 of the NATS architecture) named `tprompt-worker` for each model
it serves, and every run one named `tprompt-run`, which has no endpoint. A call goes to the queue group of
`tprompt.PROTOCOL.DIGEST`, where the digest is of endpoint and model; replies go to an inbox of that one call.
"""

from collections.abc import Callable, Collection
from hashlib import blake2b
from importlib.metadata import version
from socket import gethostname
from typing import Annotated

import anyio
import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.micro.service import ServiceConfig

from ....scenarios.endpoints import Bus
from ....scenarios.errors import InputError
from ....scenarios.scenario import Scenario
from ... import errors
from ...errors import UNREADABLE, CallFailed, EndpointError, QuotaExhausted
from ..chat import ChatRequest, ChatResponse, Count
from ..http._refusals import LONGEST_WAIT, RateSheet
from ..ledger._rows import endpoint_identity

PROTOCOL = 1
"""Version of the messages here and of all they hold. Raise it when their schema or meaning changes."""

WORKER, RUN = "tprompt-worker", "tprompt-run"

_KINDS: dict[str, type[CallFailed | EndpointError]] = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, CallFailed | EndpointError)
}


class Send(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Make one HTTP call. `inbox` gets `Working` every `heartbeat` seconds, then `Sent` or `Failure`."""

    request: ChatRequest
    inbox: str
    heartbeat: Annotated[float, msgspec.Meta(ge=0.05, le=60)]


class Working(msgspec.Struct, frozen=True, array_like=True, tag="working", gc=False):
    """The call goes on, or waits for its turn on the worker."""


class Sent(msgspec.Struct, frozen=True, array_like=True, tag="sent", gc=False):
    """The response, and the limits that its headers stated, if any."""

    response: ChatResponse
    limits: RateSheet | None = None


class Failure(msgspec.Struct, frozen=True, array_like=True, tag="failed", gc=False):
    """The error that the call ended with: its class, and the fields of `CallFailed`."""

    kind: str
    message: str
    retry_after: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WAIT)] | None = None
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] | None = None
    attempts: Count = 1
    limits: RateSheet | None = None

    @classmethod
    def of(cls, error: Exception, limits: RateSheet | None) -> "Failure":
        """An error of a client, as the nearest class in `errors`; a defect is an EndpointError."""
        if isinstance(error, CallFailed):
            return cls(
                _kind(error), str(error), error.retry_after, error.status, error.attempts, limits=limits
            )
        where = f" (worker on {gethostname()})"
        if isinstance(error, EndpointError):
            wait = error.retry_after if isinstance(error, QuotaExhausted) else None
            return cls(_kind(error), f"{error}{where}", wait, limits=limits)
        return cls("EndpointError", f"{type(error).__name__}: {error}{where}", limits=limits)

    def error(self) -> CallFailed | EndpointError:
        """The error again."""
        kind = _KINDS.get(self.kind, CallFailed)
        if issubclass(kind, CallFailed):
            return kind(
                self.message, retry_after=self.retry_after, status=self.status, attempts=self.attempts
            )
        if issubclass(kind, QuotaExhausted):
            return kind(self.message, retry_after=self.retry_after)
        return kind(self.message)


def _kind(error: Exception) -> str:
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KINDS)


Reply = Working | Sent | Failure

encode = msgspec.msgpack.Encoder().encode
WORKING = encode(Working())
decode_send = msgspec.msgpack.Decoder(Send).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode


class Served(msgspec.Struct, frozen=True):
    """A model of an endpoint, as runs and workers must agree on it; `endpoint` is `endpoint_identity`."""

    endpoint: str
    model: str

    @classmethod
    def of(cls, scenario: Scenario, name: str) -> "Served":
        """The model that an entry of `models` names."""
        return cls(endpoint_identity(scenario.endpoint_of(name)), scenario.models[name].model)

    def __str__(self) -> str:
        return f"model {self.model!r} of {self.endpoint}"

    @property
    def subject(self) -> str:
        """The subject its calls are sent to."""
        digest = blake2b(encode((self.endpoint, self.model)), digest_size=16).hexdigest()
        return f"tprompt.{PROTOCOL}.{digest}"


def relayed(scenario: Scenario, settings: Bus) -> tuple[str, ...]:
    """The entries of `models` that workers call: those that `bus.models` names, by default the targets."""
    return tuple(dict.fromkeys(scenario.targets if settings.models is None else settings.models))


def no_worker(served: Served, name: str, settings: Bus, others: Collection[Served] = ()) -> str:
    """The reason why a model cannot be called, and what to do about it; `others` is what workers serve."""
    there = "; workers there serve " + ", ".join(sorted(map(str, others))) if others else ""
    return (
        f"no worker serves {served} on {settings.url} (waited {settings.patience:g} s){there}; start one: "
        f"tprompt worker SCENARIO --bus {settings.url} --model {name}"
    )


def too_large(what: str, size: int, most: int) -> str:
    """The reason why a message cannot be sent."""
    return (
        f"the {what} takes {size:,} bytes as a NATS message, more than the {most:,} that the nats-server "
        "allows; raise `max_payload` in its configuration"
    )


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """Metadata of a service: its machine, its protocol, and for a worker what it serves."""

    host: str
    protocol: str
    package: str
    endpoint: str = ""
    model: str = ""

    @classmethod
    def own(cls, served: Served | None = None) -> "Metadata":
        """Of this process."""
        package = version("transfer-prompting")
        endpoint, model = ("", "") if served is None else (served.endpoint, served.model)
        return cls(gethostname(), str(PROTOCOL), package, endpoint, model)

    @property
    def served(self) -> Served:
        """The model that the worker serves."""
        return Served(self.endpoint, self.model)

    @property
    def compatible(self) -> bool:
        """True when this process understands its protocol version."""
        return self.protocol == str(PROTOCOL)

    def mismatch(self, who: str) -> InputError:
        """The error where it is not compatible; `who` is `worker` or `run`."""
        own = Metadata.own()
        return InputError(
            f"the {who} on {self.host} speaks protocol {self.protocol} (transfer-prompting {self.package}), "
            f"this process protocol {own.protocol} (transfer-prompting {own.package}); install the same "
            "version on both"
        )


class _Ping(msgspec.Struct, frozen=True):
    metadata: Metadata


_decode_ping = msgspec.json.Decoder(_Ping).decode


def announced(name: str, metadata: Metadata, description: str) -> ServiceConfig:
    """The configuration of a micro service that makes a worker or a run known."""
    return ServiceConfig(
        name=name,
        version=f"{PROTOCOL}.0.0",
        description=f"transfer-prompting: {description}",
        metadata=msgspec.to_builtins(metadata),
    )


async def discover(
    client: Client, name: str, *, seconds: float, enough: Callable[[list[Metadata]], bool]
) -> list[Metadata]:
    """Services of this name that answer a ping within `seconds`; sooner when these are `enough`, and at once
    when there is none. Raises what nats-py raises."""
    found: list[Metadata] = []
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    try:
        await client.publish(f"$SRV.PING.{name}", reply=inbox)
        with anyio.move_on_after(seconds):
            while not enough(found):
                message = await subscription.next_msg(timeout=None)
                if no_responders(message):
                    break
                try:
                    found.append(_decode_ping(message.data).metadata)
                except UNREADABLE:
                    continue  # another program's service of this name
    finally:
        if not client.is_closed:
            with anyio.CancelScope(shield=True):
                await subscription.unsubscribe()
    return found


def no_responders(message: Msg) -> bool:
    """True when the server reports that nobody listens on the subject."""
    return not message.data and (message.headers or {}).get("Status") == "503"
