"""Answer formats, and answers with several parts."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from transfer_prompting.runtime.evaluation.grading import grade
from transfer_prompting.runtime.evaluation.outcomes import Graded, Reply
from transfer_prompting.runtime.tasks.answers import answer_space
from transfer_prompting.runtime.tasks.answers.formats import FORMATS, answer_format, share
from transfer_prompting.runtime.tasks.answers.strict import Lines
from transfer_prompting.runtime.tasks.example import Example, Question
from transfer_prompting.runtime.tasks.task import Reading, Task
from transfer_prompting.scenarios.errors import InputError
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


def test_a_confidence_beside_a_json_answer_is_read():
    found = graded('{"result": {"label": "urgent"}}\nConfidence: 80%', JSON, confidence=True)
    assert (found.answer, found.confidence, found.followed) == ("urgent", 0.8, False)
    assert graded('{"result": {"label": "urgent"}}\nConfidence: 80%', JSON).confidence is None


def test_a_json_answer_in_other_words_is_one_of_the_rows_options():
    row = Example("1", "Which?", "B", choices=("cat", "dog"))
    choice = Task(
        "t", "", answer_space("multiple_choice"), "", format=answer_format(FormatSettings(kind="json"))
    )
    reply = Reply(example="1", text='{"answer": "the dog"}')
    found = grade(choice, row, reply, Reading(read="generate", confidence="none"))
    assert (found.answer, found.rule, found.followed) == ("B", "json", False)


def test_a_json_answer_is_asked_for_at_its_path():
    asked = answer_format(JSON).request("one of: a, b", confidence=True)
    assert json.loads(asked.splitlines()[-1]) == {"result": {"label": "the answer", "score": "NN%"}}
    assert "one of: a, b" in asked


REGEX = FormatSettings(kind="regex", pattern=r"Label: (?P<answer>\w*)( certainly)?")


@pytest.mark.parametrize(
    ("given", "sure", "asked"),
    [
        (FormatSettings(), True, ["one of: a, b", "Answer: ", "Confidence: NN%"]),
        (FormatSettings(), False, ["one of: a, b", "Answer: "]),
        (FormatSettings(kind="json"), True, ["one of: a, b", '{"answer":"the answer","confidence":"NN%"}']),
        (FormatSettings(kind="json"), False, ["one of: a, b", '{"answer":"the answer"}']),
        (FormatSettings(kind="json", answer=""), True, ["one of: a, b", "nothing else"]),
        (FormatSettings(kind="raw"), True, ["one of: a, b", "nothing else"]),
        (REGEX, True, []),
    ],
)  # fmt: skip
def test_a_format_asks_for_what_it_reads(given: FormatSettings, sure: bool, asked: list[str]):
    words = answer_format(given).request("one of: a, b", confidence=sure)
    assert [one for one in asked if one not in words] == []
    assert ("NN" in words) == (sure and answer_format(given).states_confidence and bool(given.answer))
    assert bool(words) == bool(asked)


@pytest.mark.parametrize(
    ("given", "reply", "strict", "lenient"),
    [
        (REGEX, "Label: urgent", "urgent", "urgent"),
        (REGEX, "Label: urgent certainly", "urgent", "urgent"),
        (REGEX, "<think>Label: routine</think>Label: urgent", "urgent", "urgent"),
        (REGEX, "It has Label: urgent.", None, "urgent"),
        (REGEX, "Label: ", None, None),
        (REGEX, "urgent", None, None),
        (FormatSettings(kind="regex", pattern=r"(?i)(low|high) risk"), "High risk", "High", "High"),
        (FormatSettings(kind="regex", pattern=r"\s*[a-z]+\s*"), "urgent", "urgent", "urgent"),
        (FormatSettings(kind="regex", pattern=r"\s*"), "urgent", None, None),
        (FormatSettings(kind="raw"), "<think>b</think> a\n", "a", None),
        (FormatSettings(kind="raw"), " ", None, None),
        (FormatSettings(kind="json"), '{"answer": ["a", 1, null, true]}', "a, 1, , true", "a, 1, , true"),
        (FormatSettings(kind="json"), '{"answer": {"a": "é"}}', '{"a": "é"}', '{"a": "é"}'),
        (FormatSettings(kind="json"), '{"answer": " a "} {"answer": "b"}', None, "b"),
        (FormatSettings(kind="json"), '{"answer": false}', "false", "false"),
        (FormatSettings(kind="json"), '["a"]', None, None),
        (FormatSettings(kind="json", answer="all.1.label"), '{"all": [1, {"label": "b"}]}', "b", "b"),
        (FormatSettings(kind="json", answer="all.2"), '{"all": ["a", "b"]}', None, None),
        (FormatSettings(kind="json", answer="all.x"), '{"all": ["a", "b"]}', None, None),
        (FormatSettings(kind="json", answer=""), '{"a": 1}', '{"a": 1}', '{"a": 1}'),
    ],
)
def test_the_answer_of_a_reply_is_what_its_format_says(
    given: FormatSettings, reply: str, strict: str | None, lenient: str | None
):
    form = answer_format(given)
    assert form.strict(reply, confidence=False) == (None if strict is None else Lines(strict))
    assert form.lenient(reply) == (None if lenient is None else Lines(lenient))
    assert form.strict(reply, confidence=True) is None


@pytest.mark.parametrize(
    ("value", "confidence"),
    [("0.9", 0.9), (" 90 % ", 0.9), ("1%", 0.01), ("1", 1), ("100", 1), ("101", None), ("90%%", None),
     ("", None), (0.9, 0.9), (1, 1), (1.5, 0.015), (0, 0), (100, 1), (100.5, None), (-0.1, None),
     (True, None)],
)  # fmt: skip
def test_a_share_is_a_number_up_to_1_or_a_percentage(value: object, confidence: float | None):
    assert share(value) == (None if confidence is None else pytest.approx(confidence))


OWN = """
from transfer_prompting import Lines

class Equals:
    states_confidence = 1
    def request(self, hint, *, confidence):
        return f"= {hint} {confidence}" if hint else 5
    def strict(self, text, *, confidence):
        return Lines(text.removeprefix("= "), 0.5 if confidence else None) if text[:2] == "= " else None
    def lenient(self, text):
        return {"odd": 7, "sure": Lines("a", 1.5), "number": Lines(7)}.get(text, Lines(text))

made = Equals()
"""


def test_a_format_of_ones_own_is_asked_and_what_it_returns_is_checked(tmp_path: Path):
    (tmp_path / "answers_own_equals.py").write_text(OWN, encoding="utf-8")
    for name in ("answers_own_equals:Equals", "answers_own_equals:made"):
        form = answer_format(FormatSettings(kind=name), tmp_path, allow_code=True)
        assert (form.name, form.states_confidence) == (name, True)
        assert form.request("a or b", confidence=True) == "= a or b True"
        assert form.strict("= a", confidence=True) == Lines("a", 0.5)
        assert form.strict("= a", confidence=False) == Lines("a")
        assert form.strict("a", confidence=True) is None
        assert form.lenient("a") == Lines("a")
        with pytest.raises(InputError, match=f"format {name}: request returned 5; expected a text"):
            form.request("", confidence=True)
        for text in ("odd", "sure", "number"):
            with pytest.raises(InputError, match=f"format {name}: .*expected None or Lines"):
                form.lenient(text)
    with pytest.raises(InputError, match="allow-code"):
        answer_format(FormatSettings(kind="answers_own_equals:made"), tmp_path)


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
        ("None.", "none", "whole"),
        ("'none of the labels'", "none", "whole"),
        ("The answer is N/A.", "none", "phrase"),
        ("red; blue", "red, blue", "whole"),
        ("(1) red\n2) blue", "red, blue", "whole"),
        ("red, red, red, red, red, red", "red", "whole"),
        ("red, red, red, red, red, red, red", None, "none"),
        ("not really", None, "none"),
        ("The answer is scarlet and blue.", "red, blue", "phrase"),
        ("- red\n- blue", "red, blue", "whole"),
        ('["red", "green"]', "red, green", "whole"),
        ("Answer: red, purple", None, "none"),
        ("It is a red thing.", None, "none"),
        ("I cannot say.", None, "none"),
    ],
)
def test_a_set_of_labels_is_read_whole_or_not_at_all(reply: str, answer: str | None, rule: str):
    topics = answer_space("labels", ("red", "green", "blue"), {"red": ["scarlet"]})
    found = topics.lenient(reply, QUESTION)
    assert (found and found.answer, found.rule if found else "none") == (answer, rule)


@pytest.mark.parametrize(
    ("answer", "labels"),
    [("green,red", "red, green"), ("Blue", "blue"), ("NONE", "none"), ("red, red", None), ("scarlet", None),
     ("red;green", None), ("red, blue, green", "red, green, blue"), ("red, green, blue, red", None),
     ("", None)],
)  # fmt: skip
def test_a_set_in_the_strict_format_has_commas_and_each_label_once(answer: str, labels: str | None):
    assert TOPICS.strict(answer, QUESTION) == labels
    assert TOPICS.hint(QUESTION) == "all that apply of: red, green, blue (with commas between them), or none"


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
    found = space.lenient('- **Name**: "Ada Lovelace",\n- Amount: 7\n- Note: none', QUESTION)
    assert found is not None
    assert (found.answer, found.rule) == ('{"name":"Ada Lovelace","amount":"7"}', "lines")
    found = space.lenient('{"name": "Bob"} {"a": 1} or {"amount": 5}. {"b": 2}', QUESTION)
    assert found is not None
    assert (found.answer, found.rule) == ('{"name":"","amount":"5"}', "json")
    assert space.credit('{"name":"Bob","amount":""}', example) == 0
    assert space.credit('{"name":"Ada"}', Example("1", "?", '{"name":"Ada"}')) == 1
    assert space.lenient("Name: Ada", QUESTION) is None
    assert space.hint(QUESTION) == "a JSON object with the fields name, amount"
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
