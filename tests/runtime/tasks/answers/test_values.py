"""Values are read as they are meant, or not at all."""

import pytest

from transfer_prompting.runtime.evaluation.confidence import verbalised
from transfer_prompting.runtime.tasks.answers import answer_space
from transfer_prompting.runtime.tasks.answers.formats import Json
from transfer_prompting.runtime.tasks.answers.numeric import canonical
from transfer_prompting.runtime.tasks.example import Question

ROW = Question(id="1", question="?")
ANIMALS = Question(id="2", question="?", choices=("cat", "dog", "a bird"))
NUMERIC = answer_space("numeric")
TRIAGE = answer_space("classification", ["urgent", "routine"])
CHOICE = answer_space("multiple_choice")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1,5", "1.5"),
        ("3,1415", "3.1415"),
        ("1 234\u202f567", "1234567"),
        ("1'234.50", "1234.5"),
        ("1_000", "1000"),
        ("₹1,50,000", "150000"),
        ("3 ½", "3.5"),
        ("2.5 millions", "2500000"),
        ("1,5 Mio.", "1500000"),
        ("1.5 Millionen", "1500000"),
        ("3 Mrd", "3000000000"),
        ("1.5 mn", "1500000"),
        ("10⁻²", "0.01"),
        (r"6,02 \times 10^{2}", "602"),
        ("2024-05-01", None),
        ("12:30", None),
        ("0x1F", None),
        ("10 to the power of 3", None),
        ("2 and a half", None),
        ("5 squared", None),
        (r"\sqrt{2}", None),
        (r"3\sqrt{2}", None),
        (r"\frac{1.5}{2}", None),
    ],
)
def test_a_number_is_read_alike_in_data_in_a_line_and_in_a_box(written: str, number: str | None):
    assert canonical(written) == number
    for reply in (f"Answer: {written}", f"so 7 of 9 leave\n\\boxed{{{written}}}"):
        found = NUMERIC.lenient(reply, ROW)
        assert (found and found.answer) == number, reply


@pytest.mark.parametrize(
    ("said", "confidence"),
    [
        ("Confidence: High: 90%", 0.9),
        ("Confidence: High – 90%", 0.9),
        ("Confidence: medium - 0,6", 0.6),
        ("Confidence on a scale of 0-100: 90", 0.9),
        ("Confidence on a scale from 1 to 10: 8", 0.8),
        ("confidence 0-100: 90", 0.9),
        ("Confidence (out of 10): 8", 0.8),
        ("Confidence: ≥ 90 %", 0.9),
        ("Confidence: 80–90%", None),
        ("Confidence: high to very high", None),
    ],
)
def test_a_confidence_is_read_on_the_scale_that_it_names(said: str, confidence: float | None):
    assert verbalised(f"Answer: x\n{said}") == pytest.approx(confidence)


@pytest.mark.parametrize(
    ("value", "confidence"),
    [('"High (90%)"', 0.9), ('"0,9"', 0.9), ('"9/10"', 0.9), ("90", 0.9), ("0.9", 0.9), ('"high"', None)],
)
def test_a_confidence_in_json_is_read_in_other_words_too(value: str, confidence: float | None):
    lines = Json().lenient(f'Here: {{"answer": "x", "confidence": {value}}}')
    assert lines is not None
    assert lines.confidence == confidence


@pytest.mark.parametrize(
    "reply",
    [
        "Answer: urgent\nAnswer: routine",
        "Answer: urgent; Answer: routine",
        "Answer: less urgent",
        "no longer urgent",
        "It is non-urgent.",
        "Answer: urgent/routine",
        r"urgent things are rare. \boxed{low}",
    ],
)
def test_a_reply_with_two_answers_or_none_of_the_labels_has_no_answer(reply: str):
    assert TRIAGE.lenient(reply, ROW) is None


def test_a_later_answer_corrects_an_earlier_one():
    for reply in (
        "Answer: routine\nFinal answer: urgent",
        "Answer: routine\nNo, smoke is dangerous.\nAnswer: urgent",
        "Answer: urgent\nAnswer: urgent",
    ):
        found = TRIAGE.lenient(reply, ROW)
        assert found is not None
        assert found.answer == "urgent"


@pytest.mark.parametrize("reply", ["A or B", "A/B", "Answer: both A and B", "A & B"])
def test_two_letters_side_by_side_are_no_choice(reply: str):
    assert CHOICE.lenient(reply, ANIMALS) is None


def test_an_article_is_no_letter():
    found = CHOICE.lenient("A good guess is (B), the dog.", ANIMALS)
    assert found is not None
    assert found.answer == "B"
