"""Reading candidates out of replies: what counts, what is dropped, and that nothing crashes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.agents.reference.sections import parse_candidates

REPLIES = [
    ("<prompt>Pick one.</prompt>", ["Pick one."]),
    ("Sure! Here it is:\n<prompt>\nPick one.\n</prompt>\nHope it helps.", ["Pick one."]),
    ("<prompt>A</prompt> and <PROMPT>B</PROMPT>", ["A", "B"]),
    ("<prompt>Line one.\nLine two.</prompt>", ["Line one.\nLine two."]),
    ("<prompt>Cut off in the mid", ["Cut off in the mid"]),
    ("<prompt>First</prompt> then <prompt>second, unfinished", ["First", "second, unfinished"]),
    ('<prompt>"Quoted."</prompt>', ["Quoted."]),
    ("<prompt>“Typographic.”</prompt>", ["Typographic."]),
    ("<prompt>```\nFenced.\n```</prompt>", ["Fenced."]),
    ('<prompt>"One" or "two"</prompt>', ['"One" or "two"']),
    ("<prompt></prompt>", []),
    ("<prompt>...</prompt>", []),
    ("<prompt>your new prompt here</prompt>", []),
    ("No tags at all.", []),
    ("Only an end </prompt>", []),
    ("", []),
]


@pytest.mark.parametrize(("reply", "texts"), REPLIES)
def test_a_reply_gives_the_texts_between_its_tags(reply: str, texts: list[str]):
    assert parse_candidates(reply) == texts


@given(st.text(alphabet=st.sampled_from(list('<>/prompt \n"`a.')), max_size=200))
def test_no_reply_crashes_the_reader_or_gives_an_empty_candidate(reply: str):
    assert all(text.strip() for text in parse_candidates(reply))


@given(st.text(min_size=1).filter(lambda text: "<" not in text and any(c.isalnum() for c in text)))
def test_words_between_tags_come_out_as_they_went_in(words: str):
    texts = parse_candidates(f"x <prompt>{words}</prompt> y")
    assert len(texts) <= 1
    assert all(text in words for text in texts)
