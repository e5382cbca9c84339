"""One token, read by probability."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.confidence import distinguishable, most_likely, started
from transfer_prompting.runtime.llm.chat import TokenChoice, TokenLogprob

MOOD = ("negative", "positive")


def token(*alternatives: tuple[str, float]) -> list[TokenChoice]:
    """The first token with the probabilities of its alternatives; the first of them was chosen."""
    top = tuple(TokenLogprob(text, math.log(probability)) for text, probability in alternatives)
    return [TokenChoice(top[0].token, top[0].logprob, top)]


def test_the_label_with_the_most_mass_wins_with_its_share_as_confidence():
    likely = most_likely(token(("positive", 0.5), ("negative", 0.25), ("Well", 0.25)), MOOD)
    assert likely.answer == "positive"
    assert likely.confidence == pytest.approx(2 / 3)
    assert likely.followed


def test_spellings_of_one_label_add_up():
    spelt = (("negative", 0.3), (" positive", 0.2), ("Positive", 0.1), ("\u0120pos", 0.1), ("\u2581POS", 0.1))
    likely = most_likely(token(*spelt), MOOD)
    assert likely.answer == "positive"
    assert likely.confidence == pytest.approx(0.5 / 0.8)


def test_letters_count_with_what_may_stand_around_them_but_not_inside_words():
    letters = ("A", "B", "C")
    spelt = (("B", 0.2), ("(B", 0.1), ("B.", 0.1), ("B\n", 0.1), (" a", 0.25), ("Because", 0.2), ("An", 0.05))
    likely = most_likely(token(*spelt), letters)
    assert likely.answer == "B"
    assert likely.confidence == pytest.approx(0.5 / 0.75)


def test_a_token_that_starts_several_labels_counts_for_none_of_them():
    likely = most_likely(token(("not", 0.9), ("spam", 0.1)), ("not spam", "not urgent", "spam"))
    assert likely.answer == "spam"
    assert likely.confidence == 1
    assert likely.followed


def test_no_label_among_the_alternatives_is_no_answer_with_confidence_0():
    likely = most_likely(token(("Well", 0.9), (" ", 0.1)), MOOD)
    assert (likely.answer, likely.confidence, likely.followed) == (None, 0.0, False)


def test_no_tokens_at_all_are_no_answer():
    assert most_likely([], MOOD).answer is None


def test_a_likelier_word_that_is_no_answer_breaks_the_format_but_not_the_reading():
    likely = most_likely(token(("The", 0.6), ("negative", 0.3), ("positive", 0.1)), MOOD)
    assert likely.answer == "negative"
    assert not likely.followed


def test_ties_go_to_the_label_that_comes_first():
    assert most_likely(token(("positive", 0.5), ("negative", 0.5)), MOOD).answer == "negative"


def test_the_chosen_token_counts_where_the_endpoint_leaves_it_out_of_the_alternatives():
    chosen = TokenChoice("positive", math.log(0.6), (TokenLogprob("negative", math.log(0.2)),))
    assert most_likely([chosen], MOOD).confidence == pytest.approx(0.75)


def test_a_text_starts_the_longest_label_it_completes_and_a_line_break_ends_it():
    labels = ("spam", "spam offer")
    assert started(" spam", labels) == ["spam", "spam offer"]
    assert started(" spam\n", labels) == ["spam"]
    assert started(" spam.", labels) == ["spam"]
    assert started(" spam of", labels) == ["spam offer"]
    assert started(" spam offer", labels) == ["spam offer"]
    assert started(" spammer", labels) == []
    assert started(" sp\n", labels) == []


def test_letters_beyond_ascii_start_their_labels():
    assert started("正", ("正面", "负面")) == ["正面"]
    assert started("\uff22", ("A", "B")) == ["B"]


@pytest.mark.parametrize(
    ("labels", "clashes"),
    [
        (("positive", "negative"), []),
        (("A", "B", "C"), []),
        (("yes", "no", "maybe"), []),
        (("not spam", "not urgent"), [("not spam", "not urgent")]),
        (("no", "none"), [("no", "none")]),
        (("Sports", "Sport news", "Tech"), [("Sports", "Sport news")]),
        (("正面", "负面"), []),
    ],
)
def test_labels_that_begin_alike_are_reported(labels: tuple[str, ...], clashes: list[tuple[str, str]]):
    assert distinguishable(labels) == clashes


@given(
    st.lists(st.tuples(st.text(max_size=8), st.floats(-40, 0)), min_size=1, max_size=20),
    st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=5, unique=True),
)
def test_whatever_the_tokens_the_answer_is_allowed_and_the_confidence_a_share(
    alternatives: list[tuple[str, float]], labels: list[str]
):
    top = tuple(TokenLogprob(text, logprob) for text, logprob in alternatives)
    likely = most_likely([TokenChoice(top[0].token, top[0].logprob, top)], labels)
    assert 0 <= likely.confidence <= 1
    assert likely.answer is None or likely.answer in labels
    assert likely.answer is not None or likely.confidence == 0
