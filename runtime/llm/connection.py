"""An open endpoint: its client, and the limits and circuit breaker that its models share."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.to_thread
import msgspec

from ...scenarios.endpoints import Endpoint, Model, from_environment, with_environment
from ...scenarios.errors import InputError
from .chat import ChatClient
from .embedded import OneTokenInTurn, find_model, serve_embedded
from .http._dialect import Dialect, OnNotice
from .http._refusals import OnLimits
from .ledger._rows import endpoint_identity
from .limits.limiter import Limiters
from .limits.shared import Endpoints
from .retries import Breaker

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from typing_extensions import TypeIs

    from .http.aiohttp_client import AiohttpClient
    from .http.openai_client import OpenAIClient

Client: TypeAlias = "ChatClient | AsyncOpenAI"
"""A client that a host may pass in for an endpoint."""


class Connection(msgspec.Struct, frozen=True):
    """An endpoint that is ready for calls. `client` makes one HTTP call a chat, and nothing else.

    `remote` is True where this package itself calls a server.
    """

    endpoint: Endpoint
    client: ChatClient
    limiters: Limiters
    breaker: Breaker
    remote: bool


@asynccontextmanager
async def connected(
    name: str,
    endpoint: Endpoint,
    *,
    folder: Path,
    models: Iterable[Model] = (),
    client: Client | None = None,
    on_limits: OnLimits | None = None,
    on_notice: OnNotice | None = None,
    shared: Endpoints | None = None,
) -> AsyncGenerator[Connection]:
    """The endpoint `name` of a scenario in `folder`, with one HTTP session, or with the host's `client`.

    An `AsyncOpenAI` of the host is used without its own retries and left open. `on_limits` gets the limits
    in answers' headers in place of the connection's own limiters, `on_notice` what is learned about the form
    of requests; the settings of `models` are known from the start. A `local` endpoint runs its
    model in a child process until the scope ends. `shared` holds the limits that other teams share. Raises
    InputError when its key or its model file is missing, EndpointError when its model does not start.
    """
    breaker = Breaker(name)
    with (shared or Endpoints()).limiters(name, endpoint_identity(endpoint), endpoint) as limiters:
        if client is not None:
            adopted = _adopted(name, client, dialects(name, models), limiters.stated, on_notice)
            yield Connection(endpoint, adopted, limiters, breaker, remote=False)
            return
        key = api_key(name, endpoint)
        # In a thread: it takes longer than a host's loop may wait.
        kind = await anyio.to_thread.run_sync(_loaded, endpoint)
        async with (
            _base_url(name, endpoint, folder) as url,
            _client(kind, name, endpoint, url, key, models, on_limits or limiters.stated, on_notice) as own,
        ):
            sending = own if endpoint.local is None else OneTokenInTurn(own)
            yield Connection(endpoint, sending, limiters, breaker, remote=endpoint.base_url is not None)


def check_endpoint(name: str, endpoint: Endpoint, folder: Path) -> None:
    """Raises InputError when the endpoint's key, its model file or the engine that runs it is missing, or
    only the application that runs the team can answer for it."""
    if endpoint.host is not None:
        raise InputError(
            f"endpoints.{name}.host: {endpoint.host!r} is answered by the application that runs the team; "
            "it hands over a client for the endpoint, or a target for each of its models"
        )
    api_key(name, endpoint)
    _resolved(name, "headers", endpoint.headers)
    _resolved(name, "query", endpoint.query)
    if endpoint.local is not None:
        find_model(endpoint.local, folder)


def api_key(name: str, endpoint: Endpoint) -> str | None:
    """The key from the environment, None where the endpoint names none. Raises InputError when not set."""
    variable = endpoint.api_key_env
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(
            f"endpoints.{name}.api_key_env: the environment variable {variable} is not set; set it to "
            "the key of this endpoint"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(
            f"endpoints.{name}.api_key_env: the key in the environment variable {variable} holds a space, a "
            "line break or a letter outside ASCII, which no HTTP header can carry; copy the key again"
        )
    return key


def _resolved(name: str, setting: str, values: Mapping[str, str]) -> dict[str, str]:
    """Headers or query with the environment's values. Raises InputError when a variable is not set."""
    try:
        return {key: with_environment(value) for key, value in values.items()}
    except ValueError as error:
        raise InputError(f"endpoints.{name}.{setting}: {error}") from error


def dialects(name: str, models: Iterable[Model]) -> dict[str, Dialect]:
    """The forms of requests that the scenario sets for models of the endpoint `name`."""
    return {
        model.model: Dialect(model.token_limit, model.omit)
        for model in models
        if model.endpoint == name and (model.token_limit or model.omit)
    }


@asynccontextmanager
async def _base_url(name: str, endpoint: Endpoint, folder: Path) -> AsyncGenerator[str]:
    if endpoint.local is None:
        yield str(endpoint.base_url)
        return
    gguf = find_model(endpoint.local, folder)
    async with serve_embedded(gguf, name=name, parallel=endpoint.limits.concurrency) as url:
        yield url


def _adopted(
    name: str,
    client: Client,
    forms: Mapping[str, Dialect],
    on_limits: OnLimits,
    on_notice: OnNotice | None,
) -> ChatClient:
    if _of_sdk(client):
        from .http.openai_client import OpenAIClient

        return OpenAIClient(
            client=client, name=name, dialects=forms, on_limits=on_limits, on_notice=on_notice
        )
    if not callable(getattr(client, "chat", None)):
        raise InputError(
            f"clients: {name}: expected an object with `async def chat(request)`, not {client!r:.200}"
        )
    return client


def _of_sdk(client: Client) -> TypeIs[AsyncOpenAI]:
    # A host that passes one in has imported the SDK; no other host needs it.
    sdk = sys.modules.get("openai")
    return sdk is not None and isinstance(client, sdk.AsyncOpenAI)


SECRET = 12
"""Characters of an environment variable in a header or query from which it counts as a secret."""


def _secrets(endpoint: Endpoint) -> list[str]:
    texts = [*endpoint.headers.values(), *endpoint.query.values()]
    return [value for text in texts for value in from_environment(text) if len(value) >= SECRET]


def _loaded(endpoint: Endpoint) -> type[AiohttpClient] | type[OpenAIClient]:
    """The class of an endpoint's client, its library loaded."""
    if endpoint.client == "openai":
        from .http.openai_client import OpenAIClient, sdk

        sdk()
        return OpenAIClient
    from .http.aiohttp_client import AiohttpClient

    return AiohttpClient


def _client(
    kind: type[AiohttpClient] | type[OpenAIClient],
    name: str,
    endpoint: Endpoint,
    url: str,
    key: str | None,
    models: Iterable[Model],
    on_limits: OnLimits,
    on_notice: OnNotice | None,
) -> AbstractAsyncContextManager[ChatClient]:
    bearer = "Bearer" if endpoint.auth_header.lower() == "authorization" else ""
    return kind(
        url,
        api_key=key,
        secrets=_secrets(endpoint),
        timeout=endpoint.timeout,
        name=name,
        headers=_resolved(name, "headers", endpoint.headers),
        query=_resolved(name, "query", endpoint.query),
        auth_header=endpoint.auth_header,
        auth_scheme=bearer if endpoint.auth_scheme is None else endpoint.auth_scheme,
        dialects=dialects(name, models),
        on_limits=on_limits,
        on_notice=on_notice,
        proxied=endpoint.local is None,
    )
