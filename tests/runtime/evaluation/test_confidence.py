"""How sure a reply is: stated, agreed, guessed, and by its tokens."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.confidence import (
    agreement,
    best_guess,
    token_probability,
    verbalised,
)
from transfer_prompting.runtime.llm.chat import TokenChoice, TokenLogprob
from transfer_prompting.runtime.tasks.answers import answer_space
from transfer_prompting.runtime.tasks.answers.strict import Guess, asked, lenient_guesses, strict_guesses
from transfer_prompting.runtime.tasks.example import Question

QUESTION = Question("1", "Which?", choices=("Paris", "Rome", "Berlin"))
MOOD = answer_space("classification", ("positive", "negative"))


def tokens(*steps: str | tuple[str, float] | dict[str, float]) -> list[TokenChoice]:
    """Generated tokens: certain, with a probability, or with alternatives, the first of them chosen."""
    choices: list[TokenChoice] = []
    for step in steps:
        options = {step: 1.0} if isinstance(step, str) else dict([step]) if isinstance(step, tuple) else step
        top = tuple(TokenLogprob(text, math.log(probability)) for text, probability in options.items())
        choices.append(TokenChoice(top[0].token, top[0].logprob, top if isinstance(step, dict) else ()))
    return choices


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("Confidence: 90%", 0.9),
        ("Confidence: 0%", 0.0),
        ("confidence - 85.5 %", None),
        ("Confidence: 85.5 %", 0.855),
        ("Confidence level: 0.75", 0.75),
        ("My confidence is 80 percent.", 0.8),
        ("Confidence: 7/10", 0.7),
        ("Confidence: 7 out of 10", 0.7),
        ("Confidence: 90", 0.9),
        ("Confidence: about 60%", 0.6),
        ("I'm 95% sure.", 0.95),
        ("置信度\uff1a90\uff05", 0.9),
        ("**Confidence:** 40%", 0.4),
        ("Confidence: 10%\n...\nConfidence: 20%", 0.2),
        ("Confidence: very high", None),
        ("Confidence: high", None),
        ("Confidence: 120%", None),
        ("Confidence: -10%", None),
        ("Confidence: 11/10", None),
        ("Confidence: 5/0", None),
        ("Confidence: ...", None),
        ("Confidence: <think>90%", None),
        ("Answer: 90%", None),
        ("", None),
    ],
)
def test_a_stated_confidence_is_a_number_in_range_or_nothing(text: str, confidence: float | None):
    assert verbalised(text) == (None if confidence is None else pytest.approx(confidence))


@given(st.one_of(st.text(), st.text("Confidence: 0123456789.,%/-<>\n")))
def test_any_text_states_a_share_or_nothing(text: str):
    found = verbalised(text)
    assert found is None or 0 <= found <= 1


@pytest.mark.parametrize(
    ("answers", "majority", "share"),
    [
        (["A", "B", "A"], "A", 2 / 3),
        (["B", "A", "A", "B"], "B", 0.5),
        (["A", None, None], "A", 1 / 3),
        ([None, None], None, 0.0),
        ([], None, 0.0),
    ],
)
def test_draws_agree_by_their_share_of_all_draws(
    answers: list[str | None], majority: str | None, share: float
):
    assert agreement(answers) == (majority, pytest.approx(share))


@pytest.mark.parametrize(
    ("answers", "probabilities", "best"),
    [
        (["A", "B"], [0.6, 0.3], ("A", 0.6)),
        (["A", "B"], [0.2, 0.7], ("B", 0.7)),
        (["A", "B"], [0.4, 0.4], ("A", 0.4)),
        (["A", "B"], [1.0, 1.0], ("A", 0.5)),
        (["A", "B", "A"], [0.3, 0.4, 0.2], ("A", 0.5)),
        ([None, "B"], [0.8, 0.2], ("B", 0.2)),
        ([None], [0.8], (None, 0.0)),
    ],
)
def test_the_best_guess_has_the_most_probability(
    answers: list[str | None], probabilities: list[float], best: tuple[str | None, float]
):
    assert best_guess(answers, probabilities) == (best[0], pytest.approx(best[1]))


def test_guesses_are_strict_only_in_exactly_the_lines_asked_for():
    reply = "G1: yes\nP1: 70%\nG2: no\nP2: 20%"
    assert strict_guesses(reply, 2) == [Guess("yes", 0.7), Guess("no", 0.2)]
    assert strict_guesses(reply, 3) is None
    assert strict_guesses(reply.replace("20%", "high"), 2) is None
    assert strict_guesses(reply.replace("20%", "200%"), 2) is None
    assert strict_guesses("Here you are:\n" + reply, 2) is None
    assert strict_guesses("G1: yes\nP1: 100%", 1) == [Guess("yes", 1.0)]
    assert strict_guesses("<think>G1: no</think>G1: yes \nP1: 0%\n", 1) == [Guess("yes", 0.0)]
    assert strict_guesses("G2: yes\nP2: 10%", 1) is None
    assert [asked(allowed) for allowed in ((), ("a", "b"), ("a", "b", "c", "d"))] == [3, 2, 3]
    assert lenient_guesses("Guess 1: a\nProbability 1: 100%") == [Guess("a", 1.0)]
    assert lenient_guesses("Here you are:\n**G1:** yes\nP1: 70.5%\nand\nG2: no\nP2: 200%") == [
        Guess("yes", 0.705)
    ]


def probability(reply: list[TokenChoice], answer: str, kind: str = "") -> float | None:
    return token_probability(reply, answer, answer_space(kind) if kind else MOOD, QUESTION)


def test_the_answers_tokens_are_weighed_against_the_other_answers_only():
    reply = tokens("Answer", ":", {" positive": 0.6, " negative": 0.2, " unclear": 0.2}, "\n")
    assert probability(reply, "positive") == pytest.approx(0.75)


def test_labels_that_begin_alike_are_weighed_where_they_part():
    space = answer_space("classification", ("not spam", "not urgent", "spam"))
    reply = tokens("Answer:", {" not": 0.8, " spam": 0.2}, {" spam": 0.3, " urgent": 0.1, " ham": 0.6}, "\n")
    assert token_probability(reply, "not spam", space, QUESTION) == pytest.approx(0.8 * 0.75)


def test_a_label_that_begins_another_is_weighed_where_it_ends():
    space = answer_space("classification", ("spam", "spam offer"))
    reply = tokens("Answer:", {" spam": 0.9, " x": 0.1}, {"\n": 0.6, " offer": 0.4}, "Confidence: 90%")
    assert token_probability(reply, "spam", space, QUESTION) == pytest.approx(0.6)


def test_without_alternatives_the_chosen_tokens_stand_as_they_are():
    assert probability(tokens("Answer: ", ("pos", 0.5), ("itive", 0.9)), "positive") == pytest.approx(0.5)


def test_an_answer_without_an_answer_line_is_found_where_it_stands_last():
    reply = tokens("I", " say", ": ", {"positive": 0.5, "negative": 0.5}, ".")
    assert probability(reply, "positive") == pytest.approx(0.5)


def test_what_stands_in_a_reasoning_block_is_not_the_answer():
    reply = tokens(
        "<think>",
        {"positive": 0.1, "negative": 0.9},
        "</think>",
        "Answer:",
        {" positive": 0.8, " negative": 0.2},
    )
    assert probability(reply, "positive") == pytest.approx(0.8)


def test_a_letter_is_weighed_against_letters_and_an_option_text_against_option_texts():
    letter = tokens("Answer:", {" B": 0.5, " A": 0.25, " The": 0.25})
    text = tokens("It", " is", {" Rome": 0.6, " Paris": 0.2, " a": 0.2})
    assert probability(letter, "B", "multiple_choice") == pytest.approx(2 / 3)
    assert probability(text, "B", "multiple_choice") == pytest.approx(0.75)


def test_a_number_has_the_joint_probability_of_its_tokens():
    reply = tokens("Answer:", " ", ("1", 0.5), ("8", 0.5), ("\n", 0.9))
    assert probability(reply, "18", "numeric") == pytest.approx(0.25)


def test_a_number_without_an_answer_line_is_found_by_its_value():
    reply = tokens(("16", 0.1), " - 7 = ", ("9", 0.5), " eggs.")
    assert probability(reply, "9", "numeric") == pytest.approx(0.5)


def test_a_text_has_the_mean_probability_of_its_tokens():
    reply = tokens("Answer:", (" Eiffel", 0.25), (" Tower", 1.0), "\n")
    assert probability(reply, "Eiffel Tower", "text") == pytest.approx(0.5)


def test_raw_space_markers_are_read_as_spaces():
    reply = tokens("Answer:", {"\u0120positive": 0.7, "\u0120negative": 0.3}, "\u010aConfidence:")
    assert probability(reply, "positive") == pytest.approx(0.7)


@pytest.mark.parametrize("reply", [[], tokens("Answer: good"), tokens("Positively awful")])
def test_an_answer_that_is_not_in_the_tokens_has_no_probability(reply: list[TokenChoice]):
    assert probability(reply, "positive") is None


def test_an_answer_inside_a_token_that_starts_none_has_no_probability():
    assert probability(tokens("It", {" is-positive": 0.9, " a": 0.1}), "positive") is None
    reply = tokens("Answer: ", {"pos": 0.5, "neg": 0.5}, {"itive-": 0.5, "itive": 0.5})
    assert probability(reply, "positive") == pytest.approx(0.5)


def test_the_answer_of_an_open_space_is_its_line_or_all_but_the_confidence():
    long = "word " * 10_000
    text = tokens("answer:", (" Paris", 0.25), ("\n", 0.5), "Confidence: 90%")
    assert probability(text, "Paris", "judged") == pytest.approx(0.25)
    assert probability(
        tokens(("Paris", 0.25), (" it", 1.0), ("\nconfidence", 0.1)), "x", "text"
    ) == pytest.approx(0.5)
    assert probability(tokens(("42", 0.5), " " + long), "42", "numeric") is None
    assert probability(tokens(long, ("42", 0.5), "."), "42", "numeric") == pytest.approx(0.5)
    assert probability(tokens("41"), "42", "numeric") is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["Answer:", " positive", "neg", "ative", "\n", " x"]), st.floats(-9, 0))
    ),
    st.sampled_from(["positive", "negative"]),
)
def test_any_tokens_give_a_probability_or_nothing(steps: list[tuple[str, float]], answer: str):
    reply = [TokenChoice(text, logprob, (TokenLogprob("negative", -1.0),)) for text, logprob in steps]
    found = probability(reply, answer)
    assert found is None or 0 <= found <= 1
