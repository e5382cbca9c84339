"""Whether an endpoint can be asked for a JSON object, found out by asking once."""

from ...prompts import template
from ..errors import Rejected
from .protocol import ChatClient, ChatRequest, Message


async def probe_json_object(client: ChatClient, model: str) -> bool:
    """Ask for a JSON object; False when the endpoint refuses the parameter.

    The call is like any other: it counts under the budget and is replayed from the ledger when a run resumes.
    Raises what `client` raises otherwise.
    """
    request = ChatRequest(
        model=model, messages=(Message("user", template("judge_json")),), max_tokens=16, json_object=True
    )
    try:
        await client.chat(request)
    except Rejected:
        return False
    return True
