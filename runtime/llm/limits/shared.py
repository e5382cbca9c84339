"""Limits of endpoints that several teams of a process keep together."""

from ....scenarios.endpoints import Endpoint
from ....scenarios.errors import InputError
from .limiter import Limiters


class Endpoints:
    """The limits of endpoints that several teams share: calls in flight, rates, and what is learned of both.

        endpoints = Endpoints()
        async with Team(one, endpoints=endpoints) as first, Team(other, endpoints=endpoints) as second:
            ...

    Teams share the limits of an endpoint where its `base_url` or `host`, and the variable that holds its key,
    are the same; calls of all of them wait in one queue for each model, first come first served. A `local`
    model belongs to its team. All teams run in one event loop.
    """

    def __init__(self) -> None:
        self._shared: dict[tuple[str, str | None], tuple[Endpoint, Limiters]] = {}

    def limiters(self, name: str, identity: str, endpoint: Endpoint) -> Limiters:
        """The limiters of the endpoint `name` of a scenario.

        Raises InputError where another team declares other limits for the same endpoint.
        """
        if endpoint.local is not None:
            return Limiters(endpoint.limits)
        key = (identity, endpoint.api_key_env)
        first, limiters = self._shared.setdefault(key, (endpoint, Limiters(endpoint.limits)))
        if first.limits != endpoint.limits:
            raise InputError(
                f"endpoints.{name}.limits: another team that shares this endpoint ({identity}) declares "
                "other limits; write the same ones"
            )
        return limiters
