"""Test responses as a page carries them."""

import base64
import gzip
from collections.abc import Sequence

import msgspec
import pytest

from transfer_prompting.runtime.evaluation.outcomes import Failed, Graded
from transfer_prompting.runtime.record.responses import Asked, Given
from transfer_prompting.runtime.report.page import _responses as packed
from transfer_prompting.runtime.report.page._responses import OUTCOMES, TEXT, Block, pack
from transfer_prompting.runtime.tasks.example import Example

from support.graded import graded

ROWS = [Example(f"{i:03}", f"Question {i}?", "A", context="Read.", choices=("yes", "no")) for i in range(40)]


def lines(responses: Sequence[Graded | Failed]) -> list[Asked | Given]:
    return [
        *(Asked("task", row) for row in ROWS),
        *(Given("task", "model", "prompt", one) for one in responses),
    ]


def unpacked(blocks: Sequence[str]) -> list[Block]:
    return [msgspec.json.decode(gzip.decompress(base64.b64decode(block)), type=Block) for block in blocks]


def outcomes(blocks: Sequence[str]) -> list[str]:
    return [OUTCOMES[code] for block in unpacked(blocks) for code in block.outcome]


def test_what_goes_in_comes_out():
    responses = [
        graded("003", right=False, confidence=0.25, followed=False),
        graded("004", read=False),
        Failed("005", "the server was gone"),
        graded("006", confidence=None),
    ]
    given = lines(responses)
    done = pack(given, given)
    (block,) = unpacked(done.blocks)
    texts = block.texts
    assert (done.total, done.shown) == (4, 4)
    assert outcomes(done.blocks) == ["wrong", "unread", "failed", "right"]
    assert [block.rows[place][1] for place in block.row] == ["003", "004", "005", "006"]
    assert block.rows[0] == ("task", "003", "Read.\nQuestion 3?\nA. yes\nB. no", "A")
    assert {texts[place] for column in (block.task, block.model, block.prompt) for place in column} == {
        "task",
        "model",
        "prompt",
    }
    assert block.confidence == [0.25, 0.0, None, None]
    assert block.followed == [0, 0, 0, 1]
    assert texts[block.text[2]] == "the server was gone"
    assert texts[block.answer[1]] == ""


def test_a_row_is_carried_once_over_all_blocks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packed, "BLOCK", 7)
    given = lines([graded(row.id) for row in ROWS] + [graded(row.id, right=False) for row in ROWS])
    blocks = unpacked(pack(given, given).blocks)
    assert len(blocks) == 12
    assert sum(len(block.rows) for block in blocks) == len(ROWS)
    assert max(place for block in blocks for place in block.row) == len(ROWS) - 1


def test_what_went_wrong_comes_first_and_what_has_no_room_is_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packed, "BLOCK", 10)
    given = lines([graded(row.id, right=i % 4 > 0) for i, row in enumerate(ROWS)])
    whole = pack(given, given)
    assert outcomes(whole.blocks) == ["wrong"] * 10 + ["right"] * 30
    room = len(whole.blocks[0]) + len(whole.blocks[1])
    monkeypatch.setattr(packed, "MOST_CHARACTERS", room)
    less = pack(given, given)
    assert (less.total, less.shown) == (40, 20)
    assert less.blocks == whole.blocks[:2]


def test_long_texts_are_cut_and_say_so():
    long = msgspec.structs.replace(graded("003"), text="word " * TEXT)
    given = lines([long])
    (block,) = unpacked(pack(given, given).blocks)
    text = block.texts[block.text[0]]
    assert len(text) == TEXT
    assert text.endswith("…")


def test_the_same_responses_are_packed_the_same():
    given = lines([graded(row.id) for row in ROWS])
    assert pack(given, given) == pack(given, given)
