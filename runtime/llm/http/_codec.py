"""Requests of one endpoint to bodies, and its answers to responses or errors; both HTTP clients share it."""

import re
from collections.abc import Mapping

import msgspec

from ...errors import UNREADABLE, CallFailed, EndpointError, ParameterRefused, Rejected, ServerFault
from ..chat import ChatRequest, ChatResponse
from ._dialect import Dialect, OnNotice
from ._refusals import OnLimits, rate_sheet, read_refusal, refusal
from ._text import Key
from ._wire import ErrorInside, decode, is_stream


class Codec:
    """Writes requests in the dialect of their model, reads answers, and learns from refusals.

    `name` is what messages call the endpoint; `key` is redacted from all of them.
    """

    def __init__(
        self,
        name: str,
        *,
        key: Key = None,
        dialects: Mapping[str, Dialect] | None = None,
        on_limits: OnLimits | None = None,
        on_notice: OnNotice | None = None,
    ) -> None:
        self.name = name
        self.key = key
        self._dialects = dict(dialects or {})
        self._on_limits = on_limits
        self._on_notice = on_notice

    def dialect(self, model: str) -> Dialect:
        """The form of requests to a model, always the same object."""
        return self._dialects.setdefault(model, Dialect())

    def response(
        self,
        request: ChatRequest,
        version: int,
        *,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        seconds: float,
    ) -> ChatResponse:
        """The response in an answer to a request that was written in a `version` of its dialect.

        Raises what `refusal` returns, ServerFault for an answer that is no chat completion, and
        ParameterRefused when the request may be sent again in another form.
        """
        if self._on_limits is not None and (sheet := rate_sheet(headers)) is not None:
            self._on_limits(request.model, sheet)
        if status != 200:
            raise self._refused(request, version, status, headers, body)
        if is_stream(body) and '"stream"' not in request.extra_body:
            dialect = self.dialect(request.model)
            self._notice(request, dialect.streamed())
            version = dialect.version
        try:
            return decode(body, seconds=seconds, key=self.key)
        except ErrorInside as error:
            code = _status_in(error.error)
            if code is None:
                raise self._named(error) from None
            raise self._refused(request, version, code, {}, error.error) from None
        except ServerFault as error:
            raise self._named(error) from error.__cause__

    def _refused(
        self, request: ChatRequest, version: int, status: int, headers: Mapping[str, str], body: bytes
    ) -> CallFailed | EndpointError:
        error = refusal(endpoint=self.name, status=status, headers=headers, body=body, key=self.key)
        # Some servers fail with 500 where they cannot do what was asked.
        if type(error) not in (Rejected, ServerFault):
            return error
        dialect, said = self.dialect(request.model), read_refusal(body, self.key)
        learned = dialect.learn(status, said.text, said.param, request)
        self._notice(request, learned)
        if learned is None and (dialect.version == version or type(error) is not Rejected):
            return error
        return ParameterRefused(str(error), status=status)

    def _named(self, error: ServerFault) -> ServerFault:
        return ServerFault(f"{self.name}: {error}", status=200)

    def _notice(self, request: ChatRequest, learned: str | None) -> None:
        if learned is not None and self._on_notice is not None:
            self._on_notice(request.model, f"{self.name} {learned}")


_STATUS = re.compile("[45][0-9]{2}")


_NAMED = {
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "resource_exhausted": 429,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "model_not_found": 404,
    "content_filter": 400,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "overloaded_error": 503,
    "unavailable": 503,
}
"""Statuses of errors that are named in words where the status itself says 200."""


class _Error(msgspec.Struct):
    code: object = None
    status: object = None
    type: object = None


class _Outer(msgspec.Struct):
    error: _Error


def _status_in(body: bytes) -> int | None:
    """The HTTP status that an error body names as its code."""
    try:
        error = msgspec.json.decode(body, type=_Outer).error
    except UNREADABLE:
        return None
    for value in (error.code, error.status, error.type):
        status = value
        if isinstance(value, str):
            status = int(value) if _STATUS.fullmatch(value) else _NAMED.get(value.lower())
        if isinstance(status, int) and 400 <= status < 600:
            return status
    return None
