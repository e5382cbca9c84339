"""The chat client over the `openai` SDK, for hosts that bring their own and for its ways to sign in."""

from __future__ import annotations

from ssl import SSLCertVerificationError
from time import perf_counter
from typing import TYPE_CHECKING, Self

from aiohttp import ClientPayloadError

from ....scenarios.errors import InputError
from ...errors import CallFailed, EndpointError, ServerFault, Unreachable
from ._refusals import rate_sheet, refusal
from ._wire import decode, fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType, TracebackType

    from openai import APIConnectionError, AsyncOpenAI

    from ..chat import ChatRequest, ChatResponse
    from ._refusals import OnLimits


class OpenAIClient:
    """Sends the same requests as `AiohttpClient`, through `AsyncOpenAI`.

        async with OpenAIClient("https://api.openai.com/v1", api_key=key) as client: ...
        async with OpenAIClient(client=AsyncAzureOpenAI(...)) as client: ...

    Without `client` it makes its own, on aiohttp where the installed SDK can, and closes it in the end. A
    client that is handed in is not closed, and keeps its own timeout unless `timeout` is given; its retries
    are switched off, as retrying is another layer's. Raises what `AiohttpClient` raises, and InputError when
    the SDK is not installed.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float | None = None,
        name: str | None = None,
        on_limits: OnLimits | None = None,
        client: AsyncOpenAI | None = None,
    ) -> None:
        self._sdk = _sdk()
        if (base_url is None) == (client is None):
            raise InputError("OpenAIClient takes either a base_url or a client of the openai SDK")
        self._own: AsyncOpenAI | None = None
        self._headers: dict[str, object] | None = None
        if client is None:
            client = self._own = self._made(base_url, api_key)
            timeout = timeout or 60.0
        self._client = client.with_options(max_retries=0, timeout=timeout or client.timeout)
        self._key = api_key or client.api_key or None
        self._name = name or str(client.base_url).rstrip("/")
        self._on_limits = on_limits

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own is not None:
            await self._own.close()

    async def chat(self, request: ChatRequest) -> ChatResponse:
        start = perf_counter()
        create = self._client.chat.completions.with_raw_response.create
        try:
            # Only the bytes are wanted: the SDK's models of them cost more than all else.
            raw = await create(**fields(request), extra_headers=self._headers)  # pyright: ignore[reportCallIssue, reportArgumentType]
        except self._sdk.APIStatusError as error:
            answer = error.response
            self._tell(request.model, answer.headers)
            raise refusal(
                endpoint=self._name,
                status=answer.status_code,
                headers=answer.headers,
                body=answer.content,
                key=self._key,
            ) from error
        except self._sdk.APIConnectionError as error:
            raise self._broken(error) from error
        self._tell(request.model, raw.headers)
        return decode(raw.content, seconds=perf_counter() - start, key=self._key)

    def _made(self, base_url: str | None, api_key: str | None) -> AsyncOpenAI:
        if not api_key:
            # The SDK insists on a key, and sends it unless each request leaves the header out by name.
            self._headers = {"Authorization": self._sdk.Omit()}
        return self._sdk.AsyncOpenAI(
            base_url=base_url, api_key=api_key or "none", http_client=_http_client(self._sdk)
        )

    def _tell(self, model: str, headers: Mapping[str, str]) -> None:
        if self._on_limits is not None and (sheet := rate_sheet(headers)) is not None:
            self._on_limits(model, sheet)

    def _broken(self, error: APIConnectionError) -> CallFailed | EndpointError:
        causes = list(_causes(error))
        cause = causes[-1]
        told = str(cause) or type(cause).__name__
        if isinstance(error, self._sdk.APITimeoutError):
            return Unreachable(f"{self._name} did not answer in time ({self._client.timeout} s)")
        if isinstance(cause, SSLCertVerificationError):
            return EndpointError(f"{self._name} shows a certificate that cannot be trusted: {told}")
        # httpx has no kind of its own for an answer that ended too early; aiohttp has.
        if any(isinstance(each, ClientPayloadError) for each in causes) or "complete message body" in told:
            return ServerFault(f"{self._name} sent an incomplete answer: {told}")
        return Unreachable(f"no connection to {self._name}: {told}")


def _sdk() -> ModuleType:
    try:
        import openai
    except ImportError as error:
        raise InputError(
            "the client `openai` needs the openai SDK, which is not installed: pip install openai"
        ) from error
    return openai


def _http_client(sdk: ModuleType) -> object | None:
    """The SDK's client on aiohttp; None, so that it takes its default, where this version has none."""
    try:
        return sdk.DefaultAioHttpClient()
    except (AttributeError, RuntimeError):
        return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
