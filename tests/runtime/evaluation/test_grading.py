"""A reply held against the gold answer: what counts as answered, followed, sure."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.grading import grade
from transfer_prompting.runtime.evaluation.outcomes import Failed, Flaw, Graded, Reply, flaws
from transfer_prompting.runtime.llm.chat import TokenChoice, TokenLogprob
from transfer_prompting.runtime.tasks.answers import AnswerSpace, answer_space
from transfer_prompting.runtime.tasks.example import Example
from transfer_prompting.runtime.tasks.task import ConfidenceSource, Reading, Task

from support.graded import graded

SPAM = answer_space("classification", ("spam", "fine"))
TOKENS = Reading("generate", "token_probability")
ROW = Example("r1", "Win a car now!", "spam")


def task(answers: AnswerSpace = SPAM) -> Task:
    return Task(name="mails", description="", answers=answers, original="")


def generated(
    text: str,
    source: ConfidenceSource = "verbalised",
    *,
    samples: tuple[str, ...] = (),
    tokens: tuple[TokenChoice, ...] = (),
    row: Example = ROW,
    answers: AnswerSpace = SPAM,
) -> Graded:
    reply = Reply(example="r1", text=text, samples=samples, tokens=tokens, completion_tokens=7, seconds=0.5)
    return grade(task(answers), row, reply, Reading(read="generate", confidence=source))


def test_a_reply_in_the_strict_format_is_graded_as_it_stands():
    grades = generated("Answer: spam\nConfidence: 80%")
    assert grades == Graded(
        example="r1",
        gold="spam",
        answer="spam",
        correct=True,
        credit=1.0,
        confidence=0.8,
        followed=True,
        rule="strict",
        text="Answer: spam\nConfidence: 80%",
        completion_tokens=7,
        seconds=0.5,
    )


@pytest.mark.parametrize("text", ["", "I cannot answer that.", "spam or fine", "<think>It is spam, so"])
def test_a_reply_that_cannot_be_read_is_wrong_with_confidence_0_and_breaks_the_format(text: str):
    grades = generated(text)
    assert (grades.answer, grades.correct, grades.confidence) == (None, False, 0.0)
    assert (grades.followed, grades.rule, grades.text) == (False, "none", text)


def test_a_prompt_too_long_for_the_model_is_graded_wrong():
    reply = Reply(example="r1", text="", too_long=True)
    for reading in (
        Reading(read="generate", confidence="verbalised"),
        Reading("likelihood", "token_probability"),
    ):
        grades = grade(task(), ROW, reply, reading)
        assert (grades.correct, grades.confidence, grades.followed) == (False, 0.0, False)


def test_an_answer_recovered_leniently_counts_for_accuracy_and_never_for_the_format():
    grades = generated("I think this is spam. I am 70% sure.")
    assert (grades.answer, grades.correct, grades.confidence) == ("spam", True, 0.7)
    assert (grades.followed, grades.rule) == (False, "mention")


@pytest.mark.parametrize(
    "missing", ["Answer: {}", "Answer: {}\nConfidence: high", "Answer: {}\nConfidence: 300%"]
)
def test_a_confidence_left_out_counts_as_the_one_furthest_from_the_truth(missing: str):
    right, wrong = generated(missing.format("spam")), generated(missing.format("fine"))
    assert (right.answer, right.confidence, right.followed) == ("spam", 0.0, False)
    assert (wrong.answer, wrong.confidence, wrong.followed) == ("fine", 1.0, False)


@pytest.mark.parametrize("text", ["Answer: spam", "Answer: fine", "?"])
def test_where_no_confidence_is_wanted_no_reply_has_one(text: str):
    grades = generated(text, "none")
    assert grades.confidence is None
    assert grades.followed == (text != "?")


def test_a_confidence_line_that_was_not_asked_for_breaks_the_format():
    assert not generated("Answer: spam\nConfidence: 80%", "none").followed
    assert generated("Answer: spam\nConfidence: 80%", "none").correct


def test_open_answers_may_be_partly_right():
    row = Example("r1", "Who?", "Ada Lovelace")
    grades = generated("Answer: Lovelace\nConfidence: 50%", row=row, answers=answer_space("text"))
    assert grades.credit == pytest.approx(2 / 3)
    assert grades.correct


def test_a_kept_text_is_cut():
    assert len(generated("word " * 10_000).text) == 2_000


def test_draws_are_read_one_by_one_and_the_majority_answers():
    grades = generated("I'd say spam.", "agreement", samples=("Answer: fine", "It is fine.", "?"))
    assert (grades.answer, grades.confidence, grades.rule) == ("fine", 0.5, "strict")
    assert not grades.followed
    assert generated("Answer: spam", "agreement", samples=("?",)).followed


def test_draws_without_any_answer_are_one_unreadable_reply():
    grades = generated("?", "agreement", samples=("!", ""))
    assert (grades.answer, grades.confidence, grades.rule) == (None, 0.0, "none")


def test_the_guess_with_the_highest_probability_answers():
    grades = generated("G1: fine\nP1: 30%\nG2: spam\nP2: 60%", "top_k")
    assert (grades.answer, grades.confidence, grades.followed) == ("spam", 0.6, True)


def test_guesses_outside_the_format_are_read_leniently():
    grades = generated("Guesses:\nG1: Spam!\nP1: 70%\nG2: fine\nP2: 20%", "top_k")
    assert (grades.answer, grades.confidence, grades.followed, grades.rule) == ("spam", 0.7, False, "guesses")
    grades = generated("Answer: spam", "top_k")
    assert (grades.answer, grades.confidence, grades.followed) == ("spam", 0.0, False)


def certain(text: str, **others: float) -> TokenChoice:
    top = {text: 1 - sum(others.values()), **{f" {name}": p for name, p in others.items()}}
    choices = tuple(TokenLogprob(token, math.log(p)) for token, p in top.items())
    return TokenChoice(text, choices[0].logprob, choices)


def test_the_tokens_of_a_generated_answer_give_its_confidence():
    tokens = (certain("Answer"), certain(":"), certain(" spam", fine=0.4))
    grades = generated("Answer: spam", "token_probability", tokens=tokens)
    assert grades.confidence == pytest.approx(0.6)
    assert grades.followed


@pytest.mark.parametrize(
    ("text", "finish", "flaw"),
    [
        ("", "length", "cut off"),
        ("Well, one might", "length", "cut off"),
        ("", "stop", "empty"),
        ("", "content_filter", "filtered"),
        ("I'm sorry, but I can't help with that.", "stop", "refused"),
        ("I’m sorry, but I can’t assist with that request.", "stop", "refused"),
        ("I cannot answer that.", "length", "refused"),
        ("As an AI, I have no view on mails.", "stop", "refused"),
        ("I can't say for sure, but it is spam.", "stop", None),
        ("Answer: spam\nConfidence: 80%", "length", None),
        ("No idea.", "stop", None),
    ],
)
def test_a_lack_of_a_reply_is_named(text: str, finish: str, flaw: str | None):
    reply = Reply(example="r1", text=text, finish_reason=finish)
    assert grade(task(), ROW, reply, Reading(read="generate", confidence="verbalised")).flaw == flaw


@pytest.mark.parametrize("reading", [Reading("likelihood", "token_probability"), TOKENS])
def test_a_reply_without_the_promised_log_probabilities_is_named(reading: Reading):
    bare = grade(task(), ROW, Reply(example="r1", text="Answer: spam"), reading)
    given = grade(task(), ROW, Reply(example="r1", text="Answer: spam", tokens=(certain("spam"),)), reading)
    assert (bare.flaw, given.flaw) == ("no log-probabilities", None)


def test_a_likelihood_reads_the_first_token_and_not_the_text():
    reply = Reply(example="r1", text="Fine", tokens=(certain("Fine", spam=0.7),))
    grades = grade(task(), ROW, reply, Reading(read="likelihood", confidence="token_probability"))
    assert (grades.answer, grades.correct, grades.rule) == ("spam", True, "likelihood")
    assert grades.confidence == pytest.approx(0.7)
    assert grades.followed


def test_a_likelihood_without_any_label_is_unreadable():
    reply = Reply(example="r1", text="Well", tokens=(certain("Well"),))
    grades = grade(task(), ROW, reply, Reading(read="likelihood", confidence="token_probability"))
    assert (grades.answer, grades.confidence, grades.followed, grades.rule) == (None, 0.0, False, "none")


@pytest.mark.parametrize("text", ["", "I'm sorry, but no.", "As an AI, I"])
def test_the_text_of_a_reply_read_by_likelihood_lacks_nothing(text: str):
    reply = Reply(example="r1", text=text, tokens=(certain("Well"),), finish_reason="length")
    assert grade(task(), ROW, reply, Reading("likelihood", "token_probability")).flaw is None


def test_draws_and_guesses_may_name_a_rows_own_options():
    row = Example("r1", "Which?", "B", choices=("cat", "dog"))
    choice = answer_space("multiple_choice")
    draws = generated("Answer: A", "agreement", samples=("It is dog.", "Answer: B"), row=row, answers=choice)
    assert (draws.answer, draws.confidence, draws.correct) == ("B", pytest.approx(2 / 3), True)
    strict = generated("G1: B\nP1: 70%\nG2: A\nP2: 20%", "top_k", row=row, answers=choice)
    assert (strict.answer, strict.confidence, strict.rule, strict.followed) == ("B", 0.7, "strict", True)
    loose = generated("G1: dog\nP1: 70%\nG2: bird\nP2: 30%", "top_k", row=row, answers=choice)
    assert (loose.answer, loose.confidence, loose.rule, loose.followed) == ("B", 0.7, "guesses", False)


def test_credit_of_a_judge_takes_the_place_of_the_answer_spaces():
    reply = Reply(example="r1", text="Answer: fine")
    reading = Reading("generate", "none")
    for credit, correct in ((0.4, False), (0.5, True)):
        grades = grade(task(), ROW, reply, reading, credit=credit)
        assert (grades.credit, grades.correct) == (credit, correct)
    assert grade(task(), ROW, Reply(example="r1", text="?"), reading, credit=0.9).credit == 0


BREAKS = (
    "Answer: {answer}",
    "Answer: {answer}\nConfidence: high",
    "{answer}",
    "Confidence: {percent}%\nAnswer: {answer}",
    "Sure!\nAnswer: {answer}\nConfidence: {percent}%",
    "answer: {answer}\nconfidence: {percent}%",
    "**Answer:** {answer}\n**Confidence:** {percent}%",
    "I think it is {answer}, and I am {percent}% sure.",
    "Answer: {answer}.\nConfidence: {percent} percent",
    "It may be spam or fine.",
    "I cannot answer that.",
    "",
)


@given(answer=st.sampled_from(["spam", "fine"]), percent=st.integers(0, 100), broken=st.sampled_from(BREAKS))
def test_a_reply_that_breaks_the_format_never_scores_higher_for_it(answer: str, percent: int, broken: str):
    kept = generated(f"Answer: {answer}\nConfidence: {percent}%")
    grades = generated(broken.format(answer=answer, percent=percent))
    assert kept.followed
    assert not grades.followed
    assert grades.credit <= kept.credit
    if grades.answer is None:
        assert (grades.correct, grades.confidence) == (False, 0.0)
    else:
        assert grades.answer == answer
        assert error(grades) >= error(kept)


def error(grades: Graded) -> float:
    assert grades.confidence is not None
    return abs(float(grades.correct) - grades.confidence)


@given(
    text=st.text(max_size=100),
    source=st.sampled_from(["verbalised", "token_probability", "agreement", "top_k", "none"]),
    kind=st.sampled_from(["yes_no", "numeric", "text", "judged", "multiple_choice"]),
)
def test_every_text_gets_a_grade(text: str, source: ConfidenceSource, kind: str):
    row = Example("r1", "?", {"yes_no": "yes", "numeric": "3"}.get(kind, "A"), choices=("one", "two"))
    grades = generated(text, source, samples=(text[::-1],), row=row, answers=answer_space(kind))
    assert 0 <= grades.credit <= 1
    assert grades.correct == (grades.credit >= 0.5)
    assert (grades.confidence is None) == (source == "none")
    assert grades.confidence is None or 0 <= grades.confidence <= 1
    assert grades.answer is not None or grades.rule == "none"


def test_flaws_that_are_as_frequent_come_by_name_in_any_order_of_answers():
    assert flaws([graded("1"), Failed("2", "503")]) == {}
    found: tuple[Flaw, ...] = ("refused", "empty", "cut off", "cut off")
    responses = [graded(str(i), flaw=flaw) for i, flaw in enumerate(found)]
    assert list(flaws(responses).items()) == [("cut off", 2), ("empty", 1), ("refused", 1)]
    assert list(flaws(responses[::-1]).items()) == [("cut off", 2), ("empty", 1), ("refused", 1)]
