"""The chat client over the `openai` SDK, for hosts that bring their own and for its ways to sign in."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Self

from ....scenarios.errors import InputError
from ...errors import CallFailed, EndpointError, ServerFault, Unreachable
from ._codec import Codec
from ._environment import Proxy, certificates, proxy_for
from ._text import in_one_line, redacted
from ._wire import MOST_BYTES, fields, too_large

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType, TracebackType

    from openai import AsyncOpenAI
    from openai._response import AsyncAPIResponse

    from ..chat import ChatRequest, ChatResponse
    from ._dialect import Dialect, OnNotice
    from ._refusals import OnLimits


class OpenAIClient:
    """Sends the same requests as `AiohttpClient`, through `AsyncOpenAI`.

        async with OpenAIClient("https://api.openai.com/v1", api_key=key) as client: ...
        async with OpenAIClient(client=AsyncAzureOpenAI(...)) as client: ...

    Without `client` it makes its own, on aiohttp where the installed SDK can, follows no redirects, and
    closes it in the end. A client that is handed in is not closed, and keeps its own timeout unless `timeout`
    is given; its retries are switched off, as retrying is another layer's. The other settings are those of
    `AiohttpClient`. Raises what `AiohttpClient` raises, and InputError when the SDK is not installed or the
    key cannot be sent.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        secrets: Iterable[str] = (),
        timeout: float | None = None,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        auth_header: str = "Authorization",
        auth_scheme: str = "Bearer",
        dialects: Mapping[str, Dialect] | None = None,
        on_limits: OnLimits | None = None,
        on_notice: OnNotice | None = None,
        proxied: bool = True,
        client: AsyncOpenAI | None = None,
    ) -> None:
        self._sdk = sdk()
        if (base_url is None) == (client is None):
            raise InputError("OpenAIClient takes either a base_url or a client of the openai SDK")
        self._own: AsyncOpenAI | None = None
        self._loggers: list[logging.Logger] = []
        self._headers: dict[str, object] = dict(headers or {})
        self._query = dict(query or {})
        self._proxy = proxy_for(base_url) if proxied and base_url is not None else None
        if client is None:
            client = self._own = self._made(base_url, api_key)
            timeout = timeout or 60.0
            # The SDK insists on a key and on sending it as a bearer token.
            if not api_key or (auth_header, auth_scheme) != ("Authorization", "Bearer"):
                self._headers = {"Authorization": self._sdk.Omit(), **self._headers}
                if api_key:
                    self._headers[auth_header] = f"{auth_scheme} {api_key}".strip()
        self._client = client.with_options(max_retries=0, timeout=timeout or client.timeout)
        self._codec = Codec(
            name or str(client.base_url).rstrip("/"),
            key=(api_key or client.api_key, *secrets, *(self._proxy.secrets if self._proxy else ())),
            dialects=dialects,
            on_limits=on_limits,
            on_notice=on_notice,
        )

    async def __aenter__(self) -> Self:
        if self._own is not None:
            for logger in self._loggers:
                logger.addFilter(self._hide)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own is not None:
            await self._own.close()
            for logger in self._loggers:
                logger.removeFilter(self._hide)

    def _hide(self, record: logging.LogRecord) -> bool:
        """Take the secrets out of a line of the HTTP library, which logs addresses with their query."""
        record.msg, record.args = redacted(record.getMessage(), self._codec.key), ()
        return True

    async def chat(self, request: ChatRequest) -> ChatResponse:
        dialect = self._codec.dialect(request.model)
        version = dialect.version
        start = perf_counter()
        try:
            status, headers, body = await self._sent(fields(request, dialect))
        except Exception as error:
            # Not all errors of the connection are the SDK's: some come as the HTTP library below it raises
            # them, httpx, a fork of it, or aiohttp.
            if not _CONNECTION & _kinds(error):
                raise
            raise self._broken(error) from error
        return self._codec.response(
            request, version, status=status, headers=headers, body=body, seconds=perf_counter() - start
        )

    async def _sent(self, body: dict[str, object]) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer."""
        known = {name: value for name, value in body.items() if name in _KNOWN}
        extra = {name: value for name, value in body.items() if name not in _KNOWN}
        create = self._client.chat.completions.with_streaming_response.create
        try:
            # Only the bytes are wanted: the SDK's models of them cost more than all else.
            async with create(  # pyright: ignore[reportCallIssue]
                **known,  # pyright: ignore[reportArgumentType]
                extra_headers=self._headers or None,  # pyright: ignore[reportArgumentType]
                extra_query=self._query or None,
                extra_body=extra or None,
            ) as answer:
                return answer.status_code, answer.headers, await _read(answer)
        except self._sdk.APIStatusError as error:
            return error.response.status_code, error.response.headers, error.response.content

    def _made(self, base_url: str | None, api_key: str | None) -> AsyncOpenAI:
        http = _http_client(self._sdk, self._proxy)
        libraries = {kind.__module__.partition(".")[0] for kind in type(http).__mro__}
        self._loggers = [logging.getLogger(name) for name in libraries]
        return self._sdk.AsyncOpenAI(base_url=base_url, api_key=api_key or "none", http_client=http)

    def _broken(self, error: Exception) -> CallFailed | EndpointError:
        name, causes = self._codec.name, list(_causes(error))
        text = in_one_line(causes[-1], self._codec.key)
        kinds = {kind for cause in causes for kind in _kinds(cause)}
        # The SDK calls many errors of the connection a timeout; their cause distinguishes them.
        if "SSLCertVerificationError" in kinds or "ClientConnectorCertificateError" in kinds:
            return EndpointError(f"{name} shows a certificate that cannot be trusted: {text}")
        if self._proxy is not None:
            if (status := _status_of_proxy(causes)) is not None:
                return self._proxy.no_tunnel(name, status)
            if kinds & {"ClientProxyConnectionError", "ClientConnectorDNSError", "ConnectError"}:
                return self._proxy.unreachable(name, text)
        if kinds & {"ClientConnectorError", "ConnectError", "ConnectionRefusedError", "gaierror"}:
            return Unreachable(f"no connection to {name}: {text}", attempts=0)
        # httpx has no kind of its own for an answer that ended too early; aiohttp has.
        malformed = {"ClientPayloadError", "ClientResponseError", "DecodingError"}
        if kinds & malformed or "complete message body" in text:
            return ServerFault(f"{name} sent an incomplete or malformed answer: {text}")
        if kinds & {"ServerDisconnectedError", "ConnectionError"}:
            return Unreachable(f"the connection to {name} was lost: {text}")
        if "TimeoutError" in kinds or "TimeoutException" in kinds or "APITimeoutError" in kinds:
            return Unreachable(f"{name} did not answer in time ({self._client.timeout} s)")
        return Unreachable(f"the connection to {name} was lost: {text}")


_CONNECTION = frozenset({"APIConnectionError", "RequestError", "ClientError", "OSError"})
"""Kinds of errors of a connection: the SDK's, httpx's, aiohttp's and Python's own."""

_KNOWN = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "seed",
        "logprobs",
        "top_logprobs",
        "response_format",
    }
)


async def _read(answer: AsyncAPIResponse[object]) -> bytes:
    """The decoded body. Raises ServerFault when it is too large."""
    parts: list[bytes] = []
    size = 0
    async for part in answer.iter_bytes():
        size += len(part)
        if size > MOST_BYTES:
            raise too_large()
        parts.append(part)
    return b"".join(parts)


def sdk() -> ModuleType:
    """The openai SDK. Raises InputError where it is not installed."""
    try:
        import openai
    except ImportError as error:
        raise InputError(
            "the client `openai` needs the openai SDK, which is not installed: pip install openai"
        ) from error
    return openai


def _http_client(sdk: ModuleType, proxy: Proxy | None) -> object:
    """The SDK's client on aiohttp, or its default where this version has none; it follows no redirects."""
    settings = {
        "follow_redirects": False,
        "proxy": proxy and proxy.signed_url,
        "verify": certificates() or True,
        # httpx would refuse any address of a proxy that it cannot read, in its own words.
        "trust_env": False,
    }
    try:
        return sdk.DefaultAioHttpClient(**settings)
    except (AttributeError, RuntimeError):
        return sdk.DefaultAsyncHttpxClient(**settings)


def _status_of_proxy(causes: Iterable[BaseException]) -> int | None:
    """The status that a proxy answered CONNECT with: of aiohttp's error, or first in the text of httpx's."""
    for cause in causes:
        status: object = getattr(cause, "status", None)
        if "ClientHttpProxyError" in _kinds(cause) and isinstance(status, int):
            return status
        if "ProxyError" in _kinds(cause) and (word := str(cause)[:3]).isdecimal():
            return int(word)
    return None


def _kinds(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
