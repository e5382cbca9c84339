"""The chat client for HTTP endpoints: one keep-alive session, bytes in, bytes out."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from time import perf_counter
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from ....scenarios.errors import InputError
from ...errors import CallFailed, EndpointError, ServerFault, Unreachable
from ..chat import ChatRequest, ChatResponse
from ._codec import Codec
from ._dialect import Dialect, OnNotice
from ._environment import certificates, proxy_for
from ._refusals import OnLimits, refusal
from ._text import in_one_line
from ._wire import MOST_BYTES, PATH, encode, inflated, too_large


class AiohttpClient:
    """A client of one OpenAI-compatible endpoint over HTTP.

        async with AiohttpClient("https://api.openai.com/v1", api_key=key) as client:
            response = await client.chat(request)

    Each `chat` is one HTTP call: nothing is retried and nothing limited here. `connections` bounds the open
    connections (0: as many as there are calls in flight). `timeout` is for one whole call, in seconds.
    `name` is what error messages call the endpoint. The key goes into the header `auth_header`, after the
    word `auth_scheme` if there is one; `headers` and `query` are added to every request, and `secrets` in
    them are shown as little as the key. `dialects` are the forms of requests by model, further ones are
    learned. `on_limits` gets the model's name and the limits in an answer's headers, `on_notice` what was
    learned. The proxy is taken from the environment when the client is made, unless it is not `proxied`.

    Raises what `refusal` makes of an error status; ParameterRefused when the request can be sent again in
    another form; Unreachable when there is no connection (with 0 `attempts`) or no answer in time;
    ServerFault when the answer is incomplete, malformed or larger than 64 MiB; EndpointError when the
    certificate, or the proxy, is refused; and InputError when the environment names a proxy that is no
    address, or certificate authorities that cannot be read.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        secrets: Iterable[str] = (),
        connections: int = 0,
        timeout: float = 60.0,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        auth_header: str = "Authorization",
        auth_scheme: str = "Bearer",
        dialects: Mapping[str, Dialect] | None = None,
        on_limits: OnLimits | None = None,
        on_notice: OnNotice | None = None,
        proxied: bool = True,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._url = completions_url(base_url, query)
        self._connections = connections
        self._timeout = timeout
        self._query = dict(query or {})
        self._proxy = proxy_for(self._base_url) if proxied else None
        if self._url.scheme == "https":
            certificates()
        self.codec = Codec(
            name or self._base_url,
            key=(api_key or "", *secrets, *(self._proxy.secrets if self._proxy else ())),
            dialects=dialects,
            on_limits=on_limits,
            on_notice=on_notice,
        )
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            **({auth_header: f"{auth_scheme} {api_key}".strip()} if api_key else {}),
            **(headers or {}),
        }
        self._proxy_headers = self._proxy.headers if self._proxy else {}
        if self._url.scheme == "http":  # no tunnel: the proxy reads the request itself
            self._headers |= self._proxy_headers
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=60, ttl_dns_cache=300, enable_cleanup_closed=False
            ),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # aiohttp's own `trust_env` would look the proxy up again, in a thread, for every call. And the
            # session has no headers of its own: aiohttp would send them, with the key, to the proxy too.
            proxy=self._proxy and self._proxy.url,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        form: aiohttp.FormData | None = None,
        json: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Make another HTTP call below the base URL; status, headers and body of the answer.

        A `form` may take ten times as long as a chat. Raises what `chat` raises where there is no answer.
        """
        body = None if form is None else form()
        headers = self._headers if body is None else {**self._headers, "Content-Type": body.content_type}
        timeout = aiohttp.ClientTimeout(total=self._timeout * (1 if body is None else 10))
        url = self._below(path, query)
        try:
            async with self._opened().request(
                method,
                url,
                data=body,
                json=json,
                headers=headers,
                proxy_headers=self._proxy_headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                coding = response.headers.get("Content-Encoding", "")
                return response.status, response.headers, inflated(await _read(response), coding)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._broken(error) from error

    async def stream(self, path: str) -> AsyncGenerator[bytes]:
        """The body of an answer to GET, in parts, whatever its size; `timeout` is for each part.

        Raises what `refusal` returns, and what `chat` raises where there is no answer.
        """
        timeout = aiohttp.ClientTimeout(sock_connect=self._timeout, sock_read=self._timeout)
        headers = {**self._headers, "Accept-Encoding": "identity"}
        try:
            async with self._opened().get(
                self._below(path),
                headers=headers,
                proxy_headers=self._proxy_headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise refusal(
                        endpoint=self.codec.name,
                        status=response.status,
                        headers=response.headers,
                        body=await _read(response),
                        key=self.codec.key,
                    )
                async for part in response.content.iter_any():
                    yield part
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._broken(error) from error

    def _below(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        return completions_url(self._base_url, self._query, path).update_query(query or {})

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("enter the client (async with) before its first call")
        return self._session

    async def chat(self, request: ChatRequest) -> ChatResponse:
        session = self._opened()
        dialect = self.codec.dialect(request.model)
        version = dialect.version
        start = perf_counter()
        try:
            async with session.post(
                self._url,
                data=encode(request, dialect),
                headers=self._headers,
                proxy_headers=self._proxy_headers,
                allow_redirects=False,
            ) as response:
                body = await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._broken(error) from error
        return self.codec.response(
            request,
            version,
            status=response.status,
            headers=response.headers,
            body=inflated(body, response.headers.get("Content-Encoding", "")),
            seconds=perf_counter() - start,
        )

    def _broken(self, error: Exception) -> CallFailed | EndpointError:
        name, text = self.codec.name, in_one_line(error, self.codec.key)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return EndpointError(f"{name} shows a certificate that cannot be trusted: {text}")
        if self._proxy is not None:
            if isinstance(error, aiohttp.ClientHttpProxyError):
                return self._proxy.no_tunnel(name, error.status)
            # Only the proxy's own name is looked up.
            if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientConnectorDNSError):
                return self._proxy.unreachable(name, text)
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unreachable(f"no connection to {name}: {text}", attempts=0)
        if isinstance(error, TimeoutError):
            return Unreachable(f"{name} did not answer within {self._timeout:g} s")
        if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientResponseError | ValueError):
            return ServerFault(f"{name} sent an incomplete or malformed answer: {text}")
        return Unreachable(f"the connection to {name} was lost: {text}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body as it was sent. Raises ServerFault when it is too large."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MOST_BYTES:
            raise too_large()
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def completions_url(base_url: str, query: Mapping[str, str] | None = None, path: str = PATH) -> URL:
    """The address of chat completions, or of another `path`, below a base URL; a query of the base URL stays,
    `query` is added.

    Raises InputError when it is no http or https address.
    """
    try:
        base = URL(base_url)
        url = base.with_path(base.path.rstrip("/") + path).with_query(base.query).update_query(query or {})
    except ValueError as error:
        raise InputError(f"base_url {base_url!r} is not an address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InputError(f"base_url {base_url!r} is not an address; expected http://… or https://…")
    return url
