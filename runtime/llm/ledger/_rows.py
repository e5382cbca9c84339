"""Rows of the ledger: the key of a call, the tables, and responses to rows and back."""

import time
from hashlib import blake2b
from pathlib import PurePath
from urllib.parse import urlsplit, urlunsplit

import msgspec

from ....scenarios.endpoints import Endpoint
from ...errors import (
    CallFailed,
    ContentFiltered,
    ContextTooLong,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from ..chat import ChatRequest, ChatResponse, TokenChoice, Unanswered, Usage

_encode = msgspec.msgpack.Encoder().encode


KEY_BYTES = 16


def call_key(endpoint: str, request: ChatRequest) -> bytes:
    """16 bytes that identify one draw of one request at one endpoint (BLAKE2b of its MessagePack).

    `endpoint` is an identity as `endpoint_identity` gives it. The fields are named one by one: a field
    that is new to `ChatRequest` must be added here by choice, since it changes every key.
    """
    fields = (
        endpoint,
        request.model,
        [(message.role, message.content) for message in request.messages],
        request.max_tokens,
        # 1 and 1.0 are one temperature, but not one encoding.
        None if request.temperature is None else float(request.temperature),
        None if request.top_p is None else float(request.top_p),
        request.top_logprobs,
        request.seed,
        request.json_object,
        request.sample,
        *((request.extra_body,) if request.extra_body else ()),
    )
    return blake2b(_encode(fields), digest_size=KEY_BYTES).digest()


def endpoint_identity(endpoint: Endpoint) -> str:
    """Identity of an endpoint, the same in every run: its base URL, `local:` and the model's name, or `host:`
    and the application's name for what answers.

    The URL loses credentials, query, fragment and the last slash; a local model loses its folder. The port
    of a child server is no part of it.
    """
    if endpoint.local is not None:
        return f"local:{PurePath(endpoint.local).name}"
    if endpoint.host is not None:
        return f"host:{endpoint.host}"
    url = urlsplit(str(endpoint.base_url))
    host = url.netloc.rpartition("@")[2].lower()
    return urlunsplit((url.scheme, host, url.path.rstrip("/"), "", ""))


APPLICATION_ID = 0x7470726D  # "tprm"
SCHEMA_VERSION = 3

SCHEMA = """
CREATE TABLE calls (
    key BLOB NOT NULL PRIMARY KEY,     -- call_key
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    text TEXT NOT NULL,
    finish_reason TEXT,
    tokens BLOB,                       -- MessagePack of [[token, logprob, [[token, logprob], ...]], ...]
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL,             -- wall time of the HTTP call that succeeded
    attempts INTEGER NOT NULL,         -- HTTP calls it took
    paid INTEGER NOT NULL,             -- 0 where it was copied from a shared ledger
    at REAL NOT NULL,                  -- seconds since 1970
    uncounted_prompt INTEGER NOT NULL DEFAULT 0,      -- tokens at most of HTTP calls without a count
    uncounted_completion INTEGER NOT NULL DEFAULT 0,
    batched INTEGER NOT NULL DEFAULT 0                -- 1 where it was made in a batch
);
CREATE TABLE failures (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    attempts INTEGER NOT NULL,         -- HTTP calls that were spent on it
    kind TEXT,                         -- which CallFailed; NULL where it was cut short from outside
    message TEXT,
    at REAL NOT NULL,
    uncounted_prompt INTEGER NOT NULL DEFAULT 0,
    uncounted_completion INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX failures_by_key ON failures (key);
CREATE TABLE invocations (
    id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    seconds REAL NOT NULL
);
"""

MIGRATIONS = {
    1: [
        f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0"
        for table in ("calls", "failures")
        for column in ("uncounted_prompt", "uncounted_completion")
    ],
    2: ["ALTER TABLE calls ADD COLUMN batched INTEGER NOT NULL DEFAULT 0"],
}
"""Statements that bring a ledger of a schema to the next."""

CallRow = tuple[
    bytes, str, str, str, str | None, bytes | None, int, int, float, int, int, int, int, int, float
]
FailureRow = tuple[bytes, str, str, int, int, int, str | None, str | None, float]
FailureOutcome = tuple[str | None, str | None, int]
ResponseRow = tuple[str, str | None, bytes | None, int, int, float, int, int, int, int]

CALL_COLUMNS = (
    "key, endpoint, model, text, finish_reason, tokens, prompt_tokens, completion_tokens, seconds, "
    "attempts, uncounted_prompt, uncounted_completion, batched, paid, at"
)
CALL_WIDTH = len(CALL_COLUMNS.split(","))
INSERT_FAILURE = (
    "INSERT INTO failures (key, endpoint, model, attempts, uncounted_prompt, uncounted_completion, kind, "
    "message, at) VALUES (?,?,?,?,?,?,?,?,?)"
)
SELECT_RESPONSE = (
    "SELECT text, finish_reason, tokens, prompt_tokens, completion_tokens, seconds, attempts, "
    "uncounted_prompt, uncounted_completion, batched FROM calls WHERE key = ?"
)
SELECT_KEYS = "SELECT key FROM calls"
SELECT_FAILURE = "SELECT kind, message, attempts FROM failures WHERE key = ? ORDER BY id DESC LIMIT 1"

_FAILURES = {
    kind.__name__: kind
    for kind in (
        CallFailed,
        RateLimited,
        ServerFault,
        Unreachable,
        Rejected,
        ContextTooLong,
        ContentFiltered,
    )
}
_encode_tokens = msgspec.msgpack.Encoder().encode
_decode_tokens = msgspec.msgpack.Decoder(tuple[TokenChoice, ...]).decode


def call_row(key: bytes, endpoint: str, model: str, response: ChatResponse, *, paid: bool) -> CallRow:
    usage = response.usage
    return (
        key,
        endpoint,
        model,
        response.text,
        response.finish_reason,
        _encode_tokens(response.tokens) if response.tokens else None,
        usage.prompt_tokens,
        usage.completion_tokens,
        response.seconds,
        response.attempts,
        response.uncounted.prompt_tokens,
        response.uncounted.completion_tokens,
        int(response.batched),
        int(paid),
        time.time(),
    )


def response_row(row: CallRow) -> ResponseRow:
    """The columns of a call that make its response, as `SELECT_RESPONSE` gives them."""
    return row[3:13]


def failure_row(key: bytes, endpoint: str, model: str, spent: Unanswered, error: BaseException) -> FailureRow:
    kind = type(error).__name__ if isinstance(error, CallFailed) else None
    message = str(error) if isinstance(error, CallFailed) else None
    most = spent.most
    counts = (spent.attempts, most.prompt_tokens, most.completion_tokens)
    return key, endpoint, model, *counts, kind, message, time.time()


def failure_outcome(row: FailureRow) -> FailureOutcome:
    """The columns of a failure that make its error, as `SELECT_FAILURE` gives them."""
    return row[6], row[7], row[3]


def recorded_failure(row: FailureOutcome) -> CallFailed | None:
    """The error a call ended with; None where it was cancelled from outside."""
    kind, message, attempts = row
    return None if kind is None else _FAILURES.get(kind, CallFailed)(message or "", attempts=attempts)


def replayed_response(row: ResponseRow) -> ChatResponse:
    """The response as it was recorded, to the bit, marked as replayed."""
    text, finish_reason, tokens, prompt_tokens, completion_tokens, seconds, attempts, *most, batched = row
    return ChatResponse(
        text=text,
        finish_reason=finish_reason,
        tokens=_decode_tokens(tokens) if tokens is not None else (),
        usage=Usage(prompt_tokens, completion_tokens),
        seconds=seconds,
        attempts=attempts,
        uncounted=Usage(*most),
        batched=bool(batched),
        replayed=True,
    )


def insert_calls(count: int) -> str:
    """The statement that inserts `count` calls at once; a key already there keeps its first response."""
    marks = f"({','.join('?' * CALL_WIDTH)})"
    return f"INSERT OR IGNORE INTO calls ({CALL_COLUMNS}) VALUES {','.join([marks] * count)}"
