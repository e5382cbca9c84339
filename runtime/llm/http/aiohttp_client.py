"""The chat client for HTTP endpoints: one keep-alive session, bytes in, bytes out."""

from time import perf_counter
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from ....scenarios.errors import InputError
from ...errors import CallFailed, EndpointError, ServerFault, Unreachable
from ..chat import ChatRequest, ChatResponse
from ._refusals import OnLimits, rate_sheet, refusal
from ._wire import PATH, decode, encode


class AiohttpClient:
    """Speaks to one OpenAI-compatible endpoint over HTTP.

        async with AiohttpClient("https://api.openai.com/v1", api_key=key) as client:
            response = await client.chat(request)

    Each `chat` is one HTTP call: nothing is retried and nothing limited here. `connections` bounds the open
    connections (0: as many as there are calls in flight). `timeout` is for one whole call, in seconds.
    `name` is what error messages call the endpoint. `on_limits` gets the model's name and the limits that
    an answer's headers state. Proxies are taken from the environment when the session opens.

    Raises what `refusal` makes of an error status; Unreachable when there is no connection or no answer in
    time; ServerFault when the answer is cut off or malformed; EndpointError when the certificate is refused.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        connections: int = 0,
        timeout: float = 60.0,
        name: str | None = None,
        on_limits: OnLimits | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._url = _url(self._base_url)
        self._key = api_key
        self._connections = connections
        self._timeout = timeout
        self._name = name or self._base_url
        self._on_limits = on_limits
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=60, ttl_dns_cache=300, enable_cleanup_closed=False
            ),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            # aiohttp's own `trust_env` would look the proxy up again, in a thread, for every call.
            proxy=_proxy(self._base_url),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def chat(self, request: ChatRequest) -> ChatResponse:
        session = self._session
        if session is None:
            raise RuntimeError("enter the client (async with) before its first call")
        start = perf_counter()
        try:
            async with session.post(self._url, data=encode(request), allow_redirects=False) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._broken(error) from error
        if self._on_limits is not None and (sheet := rate_sheet(response.headers)) is not None:
            self._on_limits(request.model, sheet)
        if response.status != 200:
            raise refusal(
                endpoint=self._name,
                status=response.status,
                headers=response.headers,
                body=body,
                key=self._key,
            )
        return decode(body, seconds=perf_counter() - start, key=self._key)

    def _broken(self, error: Exception) -> CallFailed | EndpointError:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return EndpointError(f"{self._name} shows a certificate that cannot be trusted: {error}")
        if isinstance(error, TimeoutError):
            return Unreachable(f"{self._name} did not answer within {self._timeout:g} s")
        if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
            return ServerFault(f"{self._name} sent an incomplete or malformed answer: {error}")
        return Unreachable(f"no connection to {self._name}: {error or type(error).__name__}")


def _url(base_url: str) -> URL:
    try:
        url = URL(base_url + PATH)
    except ValueError as error:
        raise InputError(f"base_url {base_url!r} is not an address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(f"base_url {base_url!r} is not an address; expected http://… or https://…")
    return url


def _proxy(base_url: str) -> str | None:
    parts = urlsplit(base_url)
    proxy = getproxies().get(parts.scheme)
    return None if proxy is None or proxy_bypass(parts.netloc) else proxy
