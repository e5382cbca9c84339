"""Changes from one text to another, and ancestries of prompts."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.report.page._sections import WORDS_COMPARED, change, lineage
from transfer_prompting.runtime.report.page._state import Prompts
from transfer_prompting.runtime.report.page.view import Piece

TEXTS = st.text(st.sampled_from("ab .,\n<é漢"), max_size=60)


def told(pieces: tuple[Piece, ...], kinds: str) -> str:
    return "".join(text for kind, text in pieces if kind in kinds)


@given(TEXTS, TEXTS)
def test_the_pieces_make_both_texts(before: str, after: str):
    pieces = change(before, after)
    assert told(pieces, "=-") == before
    assert told(pieces, "=+") == after
    assert all(text for _, text in pieces)
    assert all(one[0] != other[0] for one, other in pairwise(pieces))


def test_a_word_is_changed_whole():
    assert change("Decide now.", "Decide later.") == (
        ("=", "Decide "),
        ("-", "now"),
        ("+", "later"),
        ("=", "."),
    )


def test_words_changed_one_after_another_are_one_change():
    assert change("Which label fits?", "Can it wait?") == (
        ("-", "Which label fits"),
        ("+", "Can it wait"),
        ("=", "?"),
    )


def test_very_long_texts_are_compared_as_wholes():
    long = "word " * WORDS_COMPARED
    assert change(long, f"{long}more") == (("-", long), ("+", f"{long}more"))


def test_a_line_goes_back_to_the_first_known_ancestor():
    prompts = Prompts()
    first = Prompt(text="Decide.")
    second = Prompt(text="Decide now.", parents=(first.id, "unknown"))
    third = Prompt(text="Decide right now.", parents=(second.id, first.id))
    places = [prompts.place(prompt) for prompt in (third, first, second)]
    found = lineage(prompts, places[0], places[1])
    assert [place for place, _ in found.steps] == [places[1], places[2], places[0]]
    assert found.steps[0][1] == ()
    assert told(found.steps[2][1], "+").strip() == "right"
    assert told(found.change, "+") == " right now"


def test_prompts_that_are_each_others_parents_do_not_hang_it():
    prompts = Prompts()
    one, other = Prompt(text="One."), Prompt(text="Other.")
    places = [
        prompts.place(Prompt(text="One.", parents=(other.id,))),
        prompts.place(Prompt(text="Other.", parents=(one.id,))),
    ]
    assert [place for place, _ in lineage(prompts, places[0], None).steps] == [places[1], places[0]]
