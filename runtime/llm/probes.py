"""Probes: reachability, log-probabilities and JSON output of an endpoint, found out before a run."""

import re
from urllib.parse import urlsplit

import anyio

from ...prompts import template
from ..errors import BudgetReached, CallFailed, EndpointError, QuotaExhausted, Rejected
from .chat import ChatClient, ChatRequest, ChatResponse, Message


async def probe_json_object(client: ChatClient, model: str) -> bool:
    """Ask for a JSON object; False when the endpoint refuses the parameter, or fails for any other reason.

    The call is like any other: it counts under the budget and is replayed from the ledger when a run resumes.
    Raises EndpointError and BudgetReached, naming the probe.
    """
    request = ChatRequest(
        model=model, messages=(Message("user", template("judge_json")),), max_tokens=16, json_object=True
    )
    return await _answered(client, request, "whether it can answer with JSON") is not None


PROBE = "Answer with one letter: A or B?"


async def probe_logprobs(client: ChatClient, model: str, top_logprobs: int) -> bool:
    """Ask for one token with `top_logprobs` alternatives; True when alternatives came back.

    An endpoint that refuses the parameter, or fails for any other reason, has none to give. The call is like
    any other: it counts under the budget and is replayed from the ledger when a run resumes. Raises
    EndpointError and BudgetReached, naming the probe.
    """
    request = ChatRequest(
        model=model,
        messages=(Message("user", PROBE),),
        max_tokens=1,
        top_logprobs=top_logprobs,
    )
    response = await _answered(client, request, "whether it returns log-probabilities")
    return response is not None and any(choice.top for choice in response.tokens)


_UNKNOWN_MODEL = re.compile(
    r"\b(?:invalid|unknown|unsupported|no such|not a valid) model\b"
    r"|\bmodel(?:_id|_name)?\b[^.]{0,80}\b(?:not found|not exist|is invalid|is unknown"
    r"|not (?:supported|available))\b",
    re.IGNORECASE,
)


async def refused(client: ChatClient, model: str) -> str | None:
    """Ask for one token; the endpoint's words where it refuses the key, or does not know the model.

    None where it answers, or fails for a reason that another call may not meet. The call is like any other:
    it counts under the budget and is replayed from the ledger when a run resumes. Raises QuotaExhausted.
    """
    request = ChatRequest(model=model, messages=(Message("user", PROBE),), max_tokens=1)
    try:
        await client.chat(request)
    except QuotaExhausted:
        raise
    except EndpointError as error:
        return str(error)
    except CallFailed as error:
        unknown = error.status == 404 or (isinstance(error, Rejected) and _UNKNOWN_MODEL.search(str(error)))
        return str(error) if unknown else None
    except BudgetReached:
        return None
    return None


async def _answered(client: ChatClient, request: ChatRequest, question: str) -> ChatResponse | None:
    """The response to a probe; None when the call failed, which ends no run."""
    try:
        return await client.chat(request)
    except CallFailed:
        return None
    except (EndpointError, BudgetReached) as error:
        error.args = (f"{error} (in the call that tests {question})",)
        raise


CONNECT_SECONDS = 10.0


async def unreachable(base_url: str, seconds: float = CONNECT_SECONDS) -> str | None:
    """The reason for which no connection to `base_url` can be opened within so many seconds; None when one
    can, or with a proxy. Raises InputError when the proxy's address is not one."""
    from .http._environment import proxy_for  # with aiohttp's URLs, which are loaded when used

    if proxy_for(base_url) is not None:
        return None
    url = urlsplit(base_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        with anyio.fail_after(seconds):
            stream = await anyio.connect_tcp(url.hostname or "", port)
    except TimeoutError:
        return f"{base_url} does not accept a connection within {seconds:g} s"
    except OSError as error:
        return f"{base_url} cannot be reached ({_words(error)}); is the server running and the address right?"
    await stream.aclose()
    return None


def _words(error: OSError) -> str:
    inner: BaseException = error.__cause__ or error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return (getattr(inner, "strerror", None) or str(inner)).lower()
