"""Reasons of failed calls reach the user: at the terminal, with --quiet, in the log and in the results."""

import json
from pathlib import Path

import pytest

from support.chat_server import Body, Completion, Fault, Reply
from support.commands import tprompt
from support.runs import simulated

ENV = "TPROMPT_TEST_KEY"
KEYED = f"endpoints.server.api_key_env={ENV}"


def problems(folder: Path) -> str:
    return " ".join(json.loads((folder / "out" / "results.json").read_text())["problems"])


async def run(folder: Path, behaviour: object, *overrides: str) -> tuple[int | None, str, int]:
    """The exit code, everything that was printed, and the calls that the server got."""
    async with simulated(folder) as (_, world, server):
        before = server.behaviour

        async def answer(body: Body) -> Reply:
            found = behaviour(body)  # pyright: ignore[reportCallIssue, reportUnknownVariableType]
            return world(body) if found is None else found  # pyright: ignore[reportUnknownVariableType]

        assert before is not None
        server.behaviour = answer
        sets = [part for override in overrides for part in ("--set", override)]
        done = await tprompt("run", "scenario.yaml", "--out", "out", "-q", *sets, cwd=folder)
        count = server.count
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, " ".join((done.stdout + done.stderr).split()), count


async def test_a_model_that_every_call_refuses_alike_is_lost_at_once_with_the_reason(tmp_path: Path):
    refusal = Fault(404, "The model `small-9` does not exist")
    code, said, count = await run(tmp_path, lambda body: refusal if body["model"] == "small-1" else None)
    assert code == 1
    assert "all of its calls failed" in said
    assert "The model `small-9` does not exist" in said
    assert "does not exist" in problems(tmp_path)
    assert "does not exist" in (tmp_path / "out" / "log.jsonl").read_text()
    assert count < 100


@pytest.mark.parametrize("model", ["writer-1", "small-1"])
async def test_a_refused_key_ends_the_run_before_anything_else_is_paid(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(ENV, "wrong")
    refusal = Fault(401, "Incorrect API key provided")
    code, said, count = await run(tmp_path, lambda body: refusal if body["model"] == model else None, KEYED)
    assert code == 1
    assert "refuses the key (status 401): Incorrect API key provided" in said
    assert count <= 2


@pytest.mark.parametrize("place", ["headers", "query"])
async def test_a_key_in_headers_or_query_is_tried_before_anything_else_is_paid(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(ENV, "wrong")
    keyed = f"endpoints.server.{place}={{X-Key: '${{{ENV}}}'}}"
    refusal = Fault(403, "invalid X-Key")
    code, said, count = await run(
        tmp_path, lambda body: refusal if body["model"] == "small-1" else None, keyed
    )
    assert (code, count) == (1, 2)
    assert "refuses the key (status 403): invalid X-Key" in said


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "The model `writer-1` does not exist or you do not have access to it."),
        (400, "writer-1 is not a valid model ID"),
        (400, "Invalid model: writer-1"),
        (422, "model writer-1 not found, try pulling it first"),
    ],
)
async def test_an_unknown_writer_ends_the_run_before_anything_else_is_paid(
    tmp_path: Path, status: int, words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(ENV, "right")
    refusal = Fault(status, words)
    code, said, count = await run(
        tmp_path, lambda body: refusal if body["model"] == "writer-1" else None, KEYED
    )
    assert (code, count) == (1, 1)
    assert f"reference LLM writer: server answered {status}: {words}" in said


async def test_a_used_up_quota_ends_with_3_and_the_words(tmp_path: Path):
    asked = 0

    def answer(body: Body) -> Fault | None:
        nonlocal asked
        asked += 1
        return Fault(402, "Insufficient credits") if asked > 30 else None

    code, said, _ = await run(tmp_path, answer)
    assert code == 3
    assert "quota exhausted: server has no quota left for this key (status 402): Insufficient credits" in said
    assert "quota exhausted" in problems(tmp_path)


async def test_replies_that_are_cut_off_are_reported_where_the_numbers_stand(tmp_path: Path):
    cut = Completion("", finish_reason="length")
    code, said, _ = await run(tmp_path, lambda body: cut if body["model"] == "small-1" else None)
    assert code in (0, 3)
    assert "replies of small were cut off by the limit on tokens before an answer" in said
    assert "cut off" in problems(tmp_path)
    (target,) = json.loads((tmp_path / "out" / "results.json").read_text())["targets"]
    card = target["best"]["scorecard"]
    assert {card[name] for name in ("ece", "brier", "auroc", "auprc_n", "auprc_n_lift", "aurc")} == {None}
    assert target["best"]["flaws"] == {"cut off": card["n"]}
    assert f"{card['n']} of {card['n']} replies to the original were cut off" in said
