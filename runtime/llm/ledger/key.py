"""What makes two model calls the same call."""

from hashlib import blake2b
from pathlib import PurePath
from urllib.parse import urlsplit, urlunsplit

import msgspec

from ....scenarios.endpoints import Endpoint
from ..protocol import ChatRequest

_encode = msgspec.msgpack.Encoder().encode


def call_key(endpoint: str, request: ChatRequest) -> bytes:
    """16 bytes that stand for one draw of one request at one endpoint (BLAKE2b of its MessagePack).

    `endpoint` is an identity as `endpoint_identity` gives it. The fields are named one by one: a field
    that is new to `ChatRequest` must be added here by choice, since it changes every key.
    """
    fields = (
        endpoint,
        request.model,
        [(message.role, message.content) for message in request.messages],
        request.max_tokens,
        float(request.temperature),  # 1 and 1.0 are one temperature, but not one encoding
        None if request.top_p is None else float(request.top_p),
        request.top_logprobs,
        request.seed,
        request.json_object,
        request.sample,
    )
    return blake2b(_encode(fields), digest_size=16).digest()


def endpoint_identity(endpoint: Endpoint) -> str:
    """Which endpoint answered, the same in every run: its base URL, `local:` and the model's name, or `host:`
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
