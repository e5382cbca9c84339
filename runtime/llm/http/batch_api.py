"""The Batch API on the wire: `POST /files`, `POST /batches`, `GET /batches/ID`, `GET /files/ID/content`.

The format is OpenAI's (https://platform.openai.com/docs/api-reference/batch): one JSON object a line, with a
`custom_id` by which an answer is found again. Answers are in two files: of calls that were answered, and of
those that failed.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, suppress
from typing import TypeVar

import aiohttp
import msgspec

from ...errors import UNREADABLE, CallFailed, EndpointError, Rejected, ServerFault
from ..chat import ChatRequest, ChatResponse
from ._refusals import refusal
from ._text import excerpt
from ._wire import MOST_BYTES, encode
from .aiohttp_client import AiohttpClient

T = TypeVar("T")

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
"""States in which a batch has all the answers it will have."""

_ENDPOINT = "/v1/chat/completions"
_PAGES = 20
_NO_API = frozenset({404, 405, 501})


class BatchError(msgspec.Struct, frozen=True):
    """One reason for which a whole batch failed."""

    code: str | None = None
    message: str | None = None


class _Errors(msgspec.Struct, frozen=True):
    data: tuple[BatchError, ...] | None = None


class Batch(msgspec.Struct, frozen=True):
    """A batch as the endpoint describes it; `status` is one of `ENDED`, or it goes on."""

    id: str
    status: str
    input_file_id: str = ""
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Errors | None = None

    @property
    def reasons(self) -> tuple[BatchError, ...]:
        return (self.errors and self.errors.data) or ()

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class _Page(msgspec.Struct, frozen=True):
    data: tuple[Batch, ...]
    has_more: bool = False


class _File(msgspec.Struct, frozen=True):
    id: str


class _Response(msgspec.Struct, frozen=True):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class Answer(msgspec.Struct, frozen=True):
    """One line of an output or error file: what was answered, or why nothing was."""

    custom_id: str
    response: _Response | None = None
    error: BatchError | None = None


class BatchApi:
    """The Batch API of the endpoint that `client` calls. One method is one HTTP call, and nothing is retried.

    Raises what `AiohttpClient` raises; EndpointError where the endpoint has no such API.
    """

    def __init__(self, client: AiohttpClient, *, window: str) -> None:
        self._client = client
        self._window = window

    @property
    def name(self) -> str:
        """The name of the endpoint in messages."""
        return self._client.codec.name

    def line(self, custom_id: str, request: ChatRequest) -> bytes:
        """The line that asks for one call, with its line break."""
        body = encode(request, self._client.codec.dialect(request.model))
        asked = {"custom_id": custom_id, "method": "POST", "url": _ENDPOINT, "body": msgspec.Raw(body)}
        return msgspec.json.encode(asked) + b"\n"

    def response(self, request: ChatRequest, answer: Answer, batch: Batch) -> ChatResponse:
        """The response in an answer. Raises what `AiohttpClient.chat` raises for one, with no attempt where
        the call was never made."""
        codec = self._client.codec
        if answer.response is None:
            code = (answer.error and answer.error.code) or "no reason given"
            failed = Rejected if batch.status == "cancelled" else ServerFault
            raise failed(f"{self.name} did not answer in batch {batch.id}: {code}", status=500, attempts=0)
        found = codec.response(
            request,
            codec.dialect(request.model).version,
            status=answer.response.status_code,
            headers={},
            body=bytes(answer.response.body),
            seconds=0.0,
        )
        return msgspec.structs.replace(found, batched=True)

    async def upload(self, lines: Iterable[bytes]) -> str:
        """Upload the calls as a file; its id."""
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        form.add_field("file", b"".join(lines), filename="calls.jsonl", content_type="application/jsonl")
        return (await self._sent("POST", "/files", _File, form=form)).id

    async def create(self, file: str) -> Batch:
        """Start a batch of the calls in a file."""
        body = {"input_file_id": file, "endpoint": _ENDPOINT, "completion_window": self._window}
        return await self._sent("POST", "/batches", Batch, json=body)

    async def get(self, id: str) -> Batch:
        """The batch as it is now."""
        return await self._sent("GET", f"/batches/{id}", Batch)

    async def find(self, file: str) -> Batch | None:
        """The batch that was started with a file, among the latest 2,000; None where there is none."""
        after: dict[str, str] = {}
        for _ in range(_PAGES):
            page = await self._sent("GET", "/batches", _Page, query={"limit": "100", **after})
            for batch in page.data:
                if batch.input_file_id == file:
                    return batch
            if not page.has_more or not page.data:
                return None
            after = {"after": page.data[-1].id}
        return None

    async def answers(self, batch: Batch) -> dict[str, Answer]:
        """The answers of a batch that has ended, by `custom_id`. A line that cannot be read is no answer."""
        found: dict[str, Answer] = {}
        for file in (batch.output_file_id, batch.error_file_id):
            if not file:
                continue
            async with aclosing(self._lines(f"/files/{file}/content")) as lines:
                async for line in lines:
                    with suppress(*UNREADABLE):
                        answer = msgspec.json.decode(line, type=Answer)
                        found[answer.custom_id] = answer
        return found

    async def _lines(self, path: str) -> AsyncGenerator[bytes]:
        async with aclosing(self._client.stream(path)) as parts:
            rest = b""
            async for part in parts:
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    if line.strip():
                        yield line
                if len(rest) > MOST_BYTES:
                    raise ServerFault(f"{self.name}: a line of {path} is larger than {MOST_BYTES} bytes")
            if rest.strip():
                yield rest

    async def _sent(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        form: aiohttp.FormData | None = None,
        json: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> T:
        status, headers, body = await self._client.exchange(method, path, form=form, json=json, query=query)
        if status != 200:
            raise self._refused(path, status, headers, body)
        try:
            return msgspec.json.decode(body, type=kind)
        except UNREADABLE as error:
            shown = excerpt(body[:2000].decode(errors="replace"), 200)
            raise ServerFault(
                f"{self.name}: the answer to {method} {path} is not what the Batch API returns ({error}): "
                f"{shown}"
            ) from error

    def _refused(
        self, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> CallFailed | EndpointError:
        key = self._client.codec.key
        error = refusal(endpoint=self.name, status=status, headers=headers, body=body, key=key)
        if status in _NO_API and path in ("/files", "/batches"):
            return EndpointError(
                f"{self.name} has no Batch API (status {status} on {path}); remove "
                f"endpoints.{self.name}.batch"
            )
        return error
