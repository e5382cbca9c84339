"""Limits of endpoints that several teams of a process share."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from ....scenarios.endpoints import Endpoint
from ....scenarios.errors import InputError
from .limiter import Limiters


class _Shared:
    """The limiters of one endpoint, and the number of teams that use them now."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.limits = endpoint.limits
        self.limiters = Limiters(endpoint.limits, patience=endpoint.retry.seconds)
        self.users = 0
        self.thread = threading.get_ident()


class Endpoints:
    """The limits of endpoints that several teams share: calls in flight, rates, and what is learned of both.

        endpoints = Endpoints()
        async with Team(one, endpoints=endpoints) as first, Team(other, endpoints=endpoints) as second:
            ...

    Teams share the limits of an endpoint where its `base_url` or `host`, and the variable that holds its key,
    are the same; the calls of all of them wait in one queue for each model, first come first served. What was
    learned is kept for later teams. A `local` model belongs to its team. Teams that run at the same time
    declare the same limits and run in one event loop (InputError and RuntimeError otherwise).
    """

    def __init__(self) -> None:
        self._shared: dict[tuple[str, str | None], _Shared] = {}

    @contextmanager
    def limiters(self, name: str, identity: str, endpoint: Endpoint) -> Generator[Limiters]:
        """The limiters of the endpoint `name` of a scenario, while a team uses them.

        Raises InputError where another team at work declares other limits for the same endpoint,
        RuntimeError where it runs in another thread.
        """
        if endpoint.local is not None:
            yield Limiters(endpoint.limits, patience=endpoint.retry.seconds)
            return
        key = (identity, endpoint.api_key_env)
        shared = self._shared.get(key)
        if shared is None or (not shared.users and shared.limits != endpoint.limits):
            shared = self._shared[key] = _Shared(endpoint)
        if shared.limits != endpoint.limits:
            raise InputError(
                f"endpoints.{name}.limits: another team that shares this endpoint ({identity}) declares "
                "other limits; declare the same ones"
            )
        if not shared.users:
            shared.thread = threading.get_ident()
        elif shared.thread != threading.get_ident():
            raise RuntimeError(
                f"teams that share limits ({identity}) run in one event loop; another one runs in another "
                "thread: use an Endpoints object for each thread"
            )
        shared.users += 1
        try:
            yield shared.limiters
        finally:
            shared.users -= 1
