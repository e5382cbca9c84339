"""Whether an endpoint gives log-probabilities, found out by asking once."""

from ..errors import Rejected
from .protocol import ChatClient, ChatRequest, Message

PROBE = "Answer with one letter: A or B?"


async def probe_logprobs(client: ChatClient, model: str, top_logprobs: int) -> bool:
    """Ask for one token with `top_logprobs` alternatives; True when alternatives came back.

    An endpoint that refuses the parameter has none to give. The call is like any other: it counts under the
    budget and is replayed from the ledger when a run resumes. Raises what `client` raises otherwise.
    """
    request = ChatRequest(
        model=model,
        messages=(Message("user", PROBE),),
        max_tokens=1,
        top_logprobs=top_logprobs,
    )
    try:
        response = await client.chat(request)
    except Rejected:
        return False
    return any(choice.top for choice in response.tokens)
