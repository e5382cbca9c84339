"""Without a path the ledger replays within its run, and leaves no trace outside it."""

import tempfile
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from transfer_prompting.runtime.errors import ContextTooLong, RateLimited
from transfer_prompting.runtime.llm._call import Sender
from transfer_prompting.runtime.llm.chat import (
    ChatRequest,
    ChatResponse,
    Message,
    TokenChoice,
    TokenLogprob,
    Usage,
)
from transfer_prompting.runtime.llm.ledger.ledger import open_ledger
from transfer_prompting.runtime.llm.ledger.replay import LedgeredClient

from support.clients import FunctionClient


def files(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


TOKENS = (TokenChoice("yes", -0.1, (TokenLogprob("yes", -0.1), TokenLogprob("no", -2.5))),)


def asked(text: str = "What?") -> ChatRequest:
    return ChatRequest(model="m", messages=(Message("user", text),), max_tokens=9)


async def test_a_finished_call_is_replayed_as_it_was_and_not_sent_again():
    response = ChatResponse(text="yes", finish_reason="stop", tokens=TOKENS, usage=Usage(7, 1), seconds=0.25)
    own = FunctionClient(lambda request: response)
    async with open_ledger(None) as ledger:
        client = LedgeredClient(Sender(own), ledger, "here")
        first, again = await client.chat(asked()), await client.chat(asked())
    assert first == response
    assert again == replace(response, replayed=True)
    assert len(own.requests) == 1


async def test_each_ledger_starts_empty():
    own = FunctionClient(lambda request: "yes")
    for _ in range(2):
        async with open_ledger(None) as ledger:
            assert ledger.earlier.seconds == 0
            await LedgeredClient(Sender(own), ledger, "here").chat(asked())
    assert len(own.requests) == 2


async def test_what_does_not_fit_the_context_is_not_sent_again_but_what_failed_is():
    errors = {"long": ContextTooLong, "soon": RateLimited}

    def fail(request: ChatRequest) -> str:
        text = request.messages[0].content
        raise errors[text](f"{text}: no")

    own = FunctionClient(fail)
    async with open_ledger(None) as ledger:
        client = LedgeredClient(Sender(own), ledger, "here")
        for text in ("long", "long", "soon", "soon"):
            with pytest.raises(errors[text], match=f"{text}: no"):
                await client.chat(asked(text))
    assert [request.messages[0].content for request in own.requests] == ["long", "soon", "soon"]


async def test_nothing_is_written_and_no_thread_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads = set(threading.enumerate())
    async with open_ledger(None) as ledger:
        await LedgeredClient(Sender(FunctionClient(lambda request: "yes")), ledger, "here").chat(asked())
        assert set(threading.enumerate()) == threads
    assert files(tmp_path) == []
