"""From rows to examples by the field names of a scenario: parts, templates and gold answers."""

from collections.abc import Mapping

import pytest

from transfer_prompting.runtime.tasks.collect import Labels, read_gold
from transfer_prompting.runtime.tasks.mapping import Raw, Unfit, by_fields, read_choices
from transfer_prompting.scenarios.errors import InputError
from transfer_prompting.scenarios.tasks import FieldSettings, Kind

Row = Mapping[str, object]


def mapped(
    row: Row, fields: FieldSettings | None = None, template: str | None = None, kind: Kind = "text"
) -> Raw:
    return by_fields(fields or FieldSettings(), template, kind, row)(row)


def gold(answer: object, kind: Kind, labels: Labels = None, choices: tuple[str, ...] = ()) -> str:
    return read_gold(Raw("Which?", answer, choices=choices), kind, labels)[0]


@pytest.mark.parametrize("question", ["question", "text", "input"])
@pytest.mark.parametrize("answer", ["answer", "label", "target"])
def test_usual_names_need_no_fields(question: str, answer: str):
    raw = mapped({question: " Why? ", answer: "x", "other": 1})
    assert (raw.question, raw.answer, raw.context) == ("Why?", "x", "")


def test_a_usual_context_and_usual_choices_are_found():
    row = {"question": "Why?", "passage": "Because.", "options": ["a", "b"], "answer": 0}
    raw = mapped(row, kind="multiple_choice")
    assert (raw.context, raw.choices) == ("Because.", ("a", "b"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"text": "a", "input": "b", "label": "x"},
            "fields.question: both text and input could be the question",
        ),
        ({"words": "a", "label": "x"}, "fields.question: none of question, text, input is there"),
        ({"text": "a", "class": "x"}, "name one of the row's fields: text, class"),
    ],
)
def test_a_part_that_cannot_be_told_is_asked_for(row: Row, said: str):
    with pytest.raises(InputError) as caught:
        mapped(row)
    assert said in str(caught.value)


def test_dotted_paths_reach_into_objects_and_lists_and_a_field_of_that_name_goes_first():
    row = {"q": {"stem": "Why?", "parts": ["x", {"t": "y"}]}, "a.b": "literal", "a": {"b": "inner"}}
    assert mapped(row, FieldSettings(question="q.stem", answer="a.b")).answer == "literal"
    assert mapped(row, FieldSettings(question="q.parts.1.t", answer="q.parts.0")).question == "y"


CHOICES = {
    "a list": {"c": ["red", "blue"]},
    "an object": {"c": {"A": "red", "B": "blue"}},
    "labelled objects": {"c": [{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}]},
    "two lists": {"c": {"text": ["red", "blue"], "label": ["A", "B"]}},
}


@pytest.mark.parametrize("shape", CHOICES)
@pytest.mark.parametrize("answer", ["B", "blue"])
def test_choices_are_read_in_every_usual_shape(shape: str, answer: str):
    row = {"question": "Which?", "answer": answer, **CHOICES[shape]}
    raw = mapped(row, FieldSettings(choices="c"), kind="multiple_choice")
    assert raw.choices == ("red", "blue")
    assert read_gold(raw, "multiple_choice", None) == ("B", ())


def test_choices_may_have_a_field_each():
    row = {"question": "Which?", "x": "red", "y": {"z": "blue"}, "answer": 1}
    raw = mapped(row, FieldSettings(choices=["x", "y.z"]), kind="multiple_choice")
    assert read_gold(raw, "multiple_choice", None)[0] == "B"


def test_a_template_fills_fields_and_keeps_doubled_braces():
    row = {"title": "T", "meta": {"n": 3}, "label": "x"}
    assert mapped(row, template="{{ {title} }}\n{meta.n}").question == "{ T }\n3"


@pytest.mark.parametrize("template", ["{title} {}", "{title", "title}"])
def test_a_stray_brace_in_a_template_is_refused(template: str):
    with pytest.raises(InputError, match="names no field"):
        mapped({"title": "T", "label": "x"}, template=template)


@pytest.mark.parametrize(
    ("fields", "template"),
    [
        (FieldSettings(), "{title} {label}"),
        (FieldSettings(question="label"), None),
        (FieldSettings(context="label"), None),
    ],
)
def test_the_answer_is_never_shown(fields: FieldSettings, template: str | None):
    with pytest.raises(InputError, match="'label' holds the answer and must not be shown"):
        mapped({"title": "T", "text": "t", "label": "x"}, fields, template)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "", "label": "x"}, "text is empty"),
        ({"text": None, "label": "x"}, "text is empty"),
        ({"text": float("nan"), "label": "x"}, "text is NaN"),
        ({"text": "nan", "label": "x"}, "text is NaN"),
        ({"text": {"a": 1}, "label": "x"}, "text is no text"),
        ({"body": "a", "label": "x"}, "no field 'text'; the row has body, label"),
    ],
)
def test_a_row_without_a_usable_question_is_unfit(row: Row, said: str):
    mapper = by_fields(FieldSettings(), None, "text", {"text": "fine", "label": "x"})
    with pytest.raises(Unfit) as caught:
        mapper(row)
    assert said in str(caught.value)


ABC = ("red", "blue", "green")


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B.", "（B）", 1, "1", 1.0, "blue", " blue "])
def test_a_choice_is_named_by_letter_index_from_0_or_text(answer: object):
    assert gold(answer, "multiple_choice", None, ABC) == "B"


def test_indices_from_1_are_mapped_by_labels():
    assert gold(1, "multiple_choice", {"1": "A", "2": "B", "3": "C"}, ABC) == "A"


@pytest.mark.parametrize("answer", ["D", 3, -1, "yellow", "", None, float("nan")])
def test_an_answer_that_is_no_choice_is_unfit(answer: object):
    with pytest.raises(Unfit):
        gold(answer, "multiple_choice", None, ABC)


@pytest.mark.parametrize(("answer", "choices"), [("1", ("1", "2")), ("A", ("B", "A")), ("x", ("x", "x"))])
def test_an_answer_that_can_mean_two_choices_is_unfit(answer: str, choices: tuple[str, ...]):
    with pytest.raises(Unfit, match=r"can mean several choices \(A, B\)"):
        gold(answer, "multiple_choice", None, choices)


@pytest.mark.parametrize("count", [0, 1, 27])
def test_multiple_choice_has_2_to_26_choices(count: int):
    with pytest.raises(Unfit, match=f"{count} choices; multiple choice takes 2 to 26"):
        gold("A", "multiple_choice", None, tuple(f"option {i}" for i in range(count)))


@pytest.mark.parametrize(
    ("answer", "labels", "wanted"),
    [
        ("good", ["bad", "good"], "good"),
        ("Good", ["bad", "good"], "good"),
        (1, ["bad", "good"], "good"),
        ("0", ["bad", "good"], "bad"),
        (1.0, ["bad", "good"], "good"),
        ("pos", {"neg": "bad", "pos": "good"}, "good"),
        ("good", {"neg": "bad", "pos": "good"}, "good"),
        (0, {"0": "bad", "1": "good"}, "bad"),
        (True, {"False": "bad", "True": "good"}, "good"),
        ("anything", None, "anything"),
    ],
)
def test_a_label_is_named_by_itself_by_index_or_by_mapping(answer: object, labels: Labels, wanted: str):
    assert gold(answer, "classification", labels) == wanted


def test_a_label_that_is_not_among_the_labels_is_unfit():
    with pytest.raises(Unfit, match=r"label 'fine' is not among the labels \(bad, good\)"):
        gold("fine", "classification", ["bad", "good"])


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [("Yes", "yes"), (True, "yes"), (1, "yes"), ("false", "no"), ("n", "no"), ("0", "no")],
)
def test_yes_and_no_are_read_from_words_booleans_and_bits(answer: object, wanted: str):
    assert gold(answer, "yes_no") == gold(answer, "yes_no_maybe") == wanted


def test_maybe_is_an_answer_only_where_the_kind_has_it():
    assert gold("Maybe", "yes_no_maybe") == "maybe"
    with pytest.raises(Unfit, match="none of yes, no"):
        gold("maybe", "yes_no")


def test_other_words_for_yes_and_no_are_mapped_by_labels():
    assert gold("entailment", "yes_no", {"entailment": "yes", "neutral": "no"}) == "yes"


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("so 2 + 2 = 4.\n#### 4", "4"),
        ("1,450,000", "1450000"),
        ("$12.50", "12.5"),
        (18, "18"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_read_with_or_without_their_working(answer: object, wanted: str):
    assert gold(answer, "numeric") == wanted


@pytest.mark.parametrize("answer", ["many", "3 or 4", "", None, float("nan")])
def test_what_is_not_one_number_is_unfit(answer: object):
    with pytest.raises(Unfit):
        gold(answer, "numeric")


def test_free_text_may_have_several_accepted_answers():
    assert read_gold(Raw("Who?", ["Ada Lovelace", "Lovelace"]), "text", None) == (
        "Ada Lovelace",
        ("Lovelace",),
    )


def test_judged_rows_need_no_answer():
    raw = mapped({"question": "Tell a story."}, kind="judged")
    assert read_gold(raw, "judged", None) == ("", ())


@pytest.mark.parametrize(
    ("answer", "kind", "labels", "gold"),
    [
        ("1.0", "classification", ["0", "1"], "1"),
        ("4.0", "classification", ["1", "2", "3", "4", "5"], "4"),
        (1.0, "classification", ["no", "yes"], "yes"),
        ("1.0", "yes_no", None, "yes"),
        ("f", "yes_no", None, "no"),
        ('["billing", "hardware"]', "labels", None, "billing, hardware"),
        ("['billing', 'hardware']", "labels", ["hardware", "billing"], "hardware, billing"),
        ("['billing' 'hardware']", "labels", None, "billing, hardware"),
        ("['billing']", "labels", None, "billing"),
        ("[]", "labels", None, "none"),
        ("billing; hardware", "labels", None, "billing, hardware"),
    ],
)
def test_answers_are_read_as_tables_hold_them(answer: object, kind: Kind, labels: Labels, gold: str):
    assert read_gold(Raw("Which?", answer), kind, labels)[0] == gold


def test_a_number_is_no_index_of_labels_that_are_numbers():
    with pytest.raises(Unfit, match="'0' is not among the labels"):
        read_gold(Raw("How good?", "0"), "classification", ["1", "2", "3"])


@pytest.mark.parametrize("written", ["['cat', 'dog']", '["cat", "dog"]', "['cat' 'dog']", "[ 'cat'\n 'dog']"])
def test_choices_are_read_as_tables_hold_them(written: str):
    assert read_choices({"choices": written}, "choices")[0] == ("cat", "dog")
