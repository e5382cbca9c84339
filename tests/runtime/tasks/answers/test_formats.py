"""Answer formats, and answers with several parts."""

import json

import pytest
from pydantic import ValidationError

from transfer_prompting.runtime.evaluation.grading import grade
from transfer_prompting.runtime.evaluation.outcomes import Graded, Reply
from transfer_prompting.runtime.tasks.answers import answer_space
from transfer_prompting.runtime.tasks.answers.formats import FORMATS, answer_format
from transfer_prompting.runtime.tasks.example import Example, Question
from transfer_prompting.runtime.tasks.task import Reading, Task
from transfer_prompting.scenarios.tasks import KNOWN_FORMATS, FormatSettings, TaskSettings

QUESTION = Question("1", "Which?")
LABELS = answer_space("classification", ("urgent", "routine"))
TOPICS = answer_space("labels", ("red", "green", "blue"), {"red": ["scarlet"]})


def graded(text: str, format: FormatSettings, *, confidence: bool = False) -> Graded:
    task = Task("t", "", LABELS, "", format=answer_format(format))
    reading = Reading(read="generate", confidence="verbalised" if confidence else "none")
    return grade(task, Example("1", "Which?", "urgent"), Reply(example="1", text=text), reading)


JSON = FormatSettings(kind="json", answer="result.label", confidence="result.score")


@pytest.mark.parametrize(
    ("text", "format", "answer", "rule"),
    [
        ('{"result": {"label": "urgent", "score": 0.9}}', JSON, "urgent", "strict"),
        (
            '<think>{"result": {"label": "routine"}}</think>{"result": {"label": "urgent"}}',
            JSON,
            "urgent",
            "strict",
        ),
        ('```json\n{"result": {"label": "urgent"}}\n```', JSON, "urgent", "json"),
        ('{"result": {"label": "very urgent indeed"}}', JSON, "urgent", "json"),
        ('{"label": "urgent"}', JSON, "urgent", "mention"),
        ('{"result": {"label": null}}', JSON, None, "none"),
        (
            "Label: urgent",
            FormatSettings(kind="regex", pattern=r"Label: (?P<answer>\w+)"),
            "urgent",
            "strict",
        ),
        ("Sure! Label: urgent.", FormatSettings(kind="regex", pattern=r"Label: (\w+)"), "urgent", "regex"),
        ("urgent", FormatSettings(kind="raw"), "urgent", "strict"),
        ("It is urgent.", FormatSettings(kind="raw"), "urgent", "mention"),
        ("Answer: urgent", FormatSettings(), "urgent", "strict"),
    ],
)
def test_a_reply_is_read_in_its_format(text: str, format: FormatSettings, answer: str | None, rule: str):
    found = graded(text, format)
    assert (found.answer, found.rule, found.followed) == (answer, rule, rule == "strict")


@pytest.mark.parametrize(
    ("score", "confidence"), [("0.9", 0.9), ("90", 0.9), ('"90%"', 0.9), ('"high"', 0.0)]
)
def test_a_json_reply_may_state_its_confidence(score: str, confidence: float):
    found = graded(f'{{"result": {{"label": "urgent", "score": {score}}}}}', JSON, confidence=True)
    assert found.confidence == confidence
    assert found.followed == (confidence > 0)


def test_a_json_answer_is_asked_for_at_its_path():
    asked = answer_format(JSON).request("one of: a, b", confidence=True)
    assert json.loads(asked.splitlines()[-1]) == {"result": {"label": "the answer", "score": "NN%"}}
    assert "one of: a, b" in asked


def test_every_format_of_the_scenario_is_in_the_table():
    assert set(FORMATS) == set(KNOWN_FORMATS)


@pytest.mark.parametrize(
    "given", [{"kind": "regex"}, {"kind": "json", "pattern": "a"}, {"kind": "regex", "pattern": "("}]
)
def test_a_format_that_makes_no_sense_is_refused(given: dict[str, str]):
    with pytest.raises(ValidationError):
        FormatSettings.model_validate(given)


@pytest.mark.parametrize(
    ("reply", "answer", "rule"),
    [
        ("Answer: green, red", "red, green", "answer line"),
        ("Answer: none", "none", "answer line"),
        ("The answer is scarlet and blue.", "red, blue", "phrase"),
        ("- red\n- blue", "red, blue", "whole"),
        ('["red", "green"]', "red, green", "whole"),
        ("Answer: red, purple", None, "none"),
        ("It is a red thing.", None, "none"),
        ("I cannot say.", None, "none"),
    ],
)
def test_a_set_of_labels_is_read_whole_or_not_at_all(reply: str, answer: str | None, rule: str):
    found = TOPICS.lenient(reply, QUESTION)
    assert (found and found.answer, found.rule if found else "none") == (answer, rule)


def test_a_set_of_labels_is_right_when_it_is_the_same_or_by_its_f1():
    example = Example("1", "?", "red, green")
    partial = answer_space("labels", ("red", "green", "blue"), credit="partial")
    assert (TOPICS.credit("red, green", example), TOPICS.credit("red", example)) == (1, 0)
    assert partial.credit("red", example) == pytest.approx(2 / 3)
    assert partial.credit("none", example) == 0


def test_fields_are_extracted_and_counted_one_by_one_or_all_together():
    space, exact = (answer_space("extraction", ("name", "amount"), credit=one) for one in (None, "exact"))
    example = Example("1", "?", '{"name":"Ada Lovelace","amount":"1234.5"}')
    for reply in (
        'Here: {"name": "ada lovelace", "amount": "1,234.50"}',
        "name: Ada Lovelace\nAmount: 1234.5",
    ):
        found = space.lenient(reply, QUESTION)
        assert found is not None
        assert space.credit(found.answer, example) == exact.credit(found.answer, example) == 1
    half = space.strict('{"name": "Ada Lovelace", "amount": null}', QUESTION)
    assert half is not None
    assert (space.credit(half, example), exact.credit(half, example)) == (0.5, 0)
    assert space.strict('{"name": "Ada Lovelace"}', QUESTION) is None


@pytest.mark.parametrize("labels", [["yes", True], [0, 1], {0: "a", 1: "b"}, {"a": False}])
def test_labels_that_yaml_read_as_something_else_are_refused_with_what_to_do(labels: object):
    with pytest.raises(ValidationError, match="put it in quotes"):
        TaskSettings.model_validate({"data": "x.csv", "kind": "classification", "labels": labels})


@pytest.mark.parametrize(
    ("reply", "answer", "confidence"),
    [
        ('{"answer": "x", "confidence": 1' + "0" * 400 + "}", "x", None),
        ('{"answer": "x", "confidence": NaN}', "x", None),
        ('{"answer": "a\\ud800"}', "a\ufffd", None),
        ('{"answer": ' + "[" * 500 + "]" * 500 + "}", "", None),
    ],
)
def test_a_json_reply_with_odd_values_is_read(reply: str, answer: str, confidence: float | None):
    lines = answer_format(FormatSettings(kind="json")).lenient(reply)
    assert lines is not None
    assert (lines.answer, lines.confidence) == (answer, confidence)
