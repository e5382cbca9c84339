"""Values are read as they are meant, or not at all."""

import pytest

from transfer_prompting.runtime.evaluation.confidence import verbalised
from transfer_prompting.runtime.tasks.answers import answer_space
from transfer_prompting.runtime.tasks.answers.formats import Json
from transfer_prompting.runtime.tasks.answers.numeric import canonical
from transfer_prompting.runtime.tasks.example import Example, Question

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
        ("2 hundred thousand", "200000"),
        ("2 crores", "20000000"),
        ("1億", "100000000"),
        ("1.5·10^6", "1500000"),
        ("10**-2", "0.01"),
        ("1.5 M", None),
        ("5 k", None),
        ("(1/2)^2", None),
        ("1e400", None),
        (",5", None),
        ("1..5", None),
        ("2π", None),
        ("10h30", None),
        ("3 hours 20 minutes", None),
        ("5 ft 11 in", None),
        ("5'11\"", None),
        ("12 34", None),
        ("1/3", "0.333333333333"),
        ("-2/3", "-0.666666666667"),
        ("1234567/7", "176366.714286"),
        ("0.999999999999999", "1"),
        ("-½", "-0.5"),
        ("0,125", "0.125"),
        ("12,345", "12345"),
        ("1.000.000", "1000000"),
        ("1 000,5", "1000.5"),
        ("1,23,456.5", "123456.5"),
        ("2 dozen", "24"),
        ("2^-1", "0.5"),
        ("1000^2", "1000000"),
        ("1001^2", None),
        ("0^0", None),
        ("1/0", None),
        ("-0.0", "0"),
        ("1e-13", "0.0000000000001"),
        ("6.62607015e-34", "0." + "0" * 33 + "662607015"),
        ("-1.23456789012345 × 10^-5", "-0.0000123456789012"),
    ],
)
def test_a_number_is_read_alike_in_data_in_a_line_and_in_a_box(written: str, number: str | None):
    assert canonical(written) == number
    for reply in (f"Answer: {written}", f"so 7 of 9 leave\n\\boxed{{{written}}}"):
        found = NUMERIC.lenient(reply, ROW)
        assert (found and found.answer) == number, reply


def test_a_number_may_be_as_small_as_nature_has_it():
    found = NUMERIC.lenient("Answer: 6.63 × 10^-34", ROW)
    assert found is not None
    assert NUMERIC.credit(found.answer, Example("1", "?", "6.63e-34")) == 1
    assert NUMERIC.credit(found.answer, Example("1", "?", "6.7e-34")) == 0
    assert NUMERIC.credit(found.answer, Example("1", "?", "0")) == 0


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
        ("Confidence: 8 (out of 10)", 0.8),
        ("Confidence: 4 (of 5)", 0.8),
        ("Confidence: ≥ 90 %", 0.9),
        ("Confidence: 80–90%", None),
        ("Confidence: high to very high", None),
        ("| Confidence | 90% |", 0.9),
        ("Confidence (0-10): 80%", 0.8),
        ("Confidence: 2", 0.02),
        ("Confidence: 3 stars", None),
        ("Confidence: 1e-1", None),
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
        "No urgent matter here.",
        "Answer: urgent, or maybe routine",
        "Answer: urgent? No, routine.",
    ],
)
def test_a_reply_with_two_answers_or_none_of_the_labels_has_no_answer(reply: str):
    assert TRIAGE.lenient(reply, ROW) is None


def test_the_last_character_of_a_long_reply_is_read():
    steps = "One more step: 9 of 9. " * 400
    for said, answer in (("18", "18"), ("-0.75", "-0.75")):
        found = NUMERIC.lenient(f"{steps}\nAnswer: {said}", ROW)
        assert (found and found.answer) == answer
    found = CHOICE.lenient(f"{steps}\nAnswer: B", ANIMALS)
    assert (found and found.answer) == "B"


def test_a_later_answer_corrects_an_earlier_one():
    for reply in (
        "Answer: routine\nFinal answer: urgent",
        "Answer: routine\nNo, smoke is dangerous.\nAnswer: urgent",
        "Answer: urgent\nAnswer: urgent",
    ):
        found = TRIAGE.lenient(reply, ROW)
        assert found is not None
        assert found.answer == "urgent"


@pytest.mark.parametrize(
    "reply",
    [
        "A or B",
        "A/B",
        "Answer: both A and B",
        "A & B",
        "Answer: B) dog; C) a bird",
        "A. cat is wrong. B. dog is right.",
        "The answer is B, or maybe C",
    ],
)
def test_two_letters_side_by_side_are_no_choice(reply: str):
    assert CHOICE.lenient(reply, ANIMALS) is None


def test_signs_distinguish_labels():
    trend = answer_space("classification", ["-1", "0", "1"])
    grades = answer_space("classification", ["A+", "A", "A-"])
    for space, said, label in (
        (trend, "Answer: -1", "-1"),
        (trend, "The label is −1.", "-1"),
        (trend, "**1**", "1"),
        (trend, "Answer: 10", None),
        (grades, "Answer: A-", "A-"),
        (grades, "Grade: A-.", "A-"),
        (grades, "A", "A"),
    ):
        found = space.lenient(said, ROW)
        assert (found and found.answer) == label, said


def test_a_set_is_read_however_its_labels_are_listed():
    space = answer_space("labels", ["billing", "hardware", "other"])
    for said in (
        "1. billing\n2. hardware",
        "• billing\n• hardware",
        "billing / hardware",
        "billing + hardware",
        "Labels: hardware, billing",
        "The labels are billing and hardware.",
        '{"labels": ["billing", "hardware"]}',
        '["billing", "hardware"]',
    ):
        found = space.lenient(said, ROW)
        assert (found and found.answer) == "billing, hardware", said
    for said in ("billing or hardware", "billing, software", "not hardware"):
        assert space.lenient(said, ROW) is None, said


def test_an_article_is_no_letter():
    found = CHOICE.lenient("A good guess is (B), the dog.", ANIMALS)
    assert found is not None
    assert found.answer == "B"
