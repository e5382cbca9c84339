"""The two kinds of message: a request has exactly one answer, an event is a fact that nobody answers."""

from typing import ClassVar, Generic, TypeVar, cast, get_args

import msgspec

R = TypeVar("R")


class Request(msgspec.Struct, Generic[R], frozen=True, tag=True, forbid_unknown_fields=True):
    """A pure value that asks for one `R`. Its type is its route, with `route_key` beside it.

    A bus that loses a server while it works asks another one, unless the kind is not `repeatable`: then the
    asker gets ServerClosed.
    """

    repeatable: ClassVar[bool] = True

    @property
    def route_key(self) -> str:
        """What tells servers of one kind apart (the model a target hosts); '' where there is one server."""
        return ""


class Event(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A pure value that states what has happened, named in the past tense."""


Route = tuple[str, str]
"""The name of a request's type, and its `route_key`."""


class Header(msgspec.Struct, frozen=True):
    """What travels beside a request: its id, the routes that wait for it (outermost first), its deadline.

    `deadline` is on the bus's clock (`anyio.current_time()`), None where nobody set one. `run` names the run
    it is a part of, '' outside one. `trace` is the W3C trace context (`traceparent`, `tracestate`) of who
    asked, empty where nothing is traced.
    """

    id: int
    chain: tuple[Route, ...] = ()
    deadline: float | None = None
    run: str = ""
    trace: dict[str, str] = {}


def route(request: Request[R]) -> Route:
    """Where a request goes."""
    return (type(request).__name__, request.route_key)


def route_name(to: Route) -> str:
    """`Answer for small`."""
    kind, key = to
    return f"{kind} for {key}" if key else kind


def reply_type(kind: type[Request[R]]) -> type[R]:
    """The type a kind of request is answered with."""
    for base in cast("tuple[object, ...]", getattr(kind, "__orig_bases__", ())):
        arguments = get_args(base)
        if arguments:
            return cast("type[R]", arguments[0])
    raise TypeError(f"{kind.__name__} does not say what answers it: derive it from Request[Reply]")
