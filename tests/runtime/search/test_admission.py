"""Admission: what is never scored."""

import pytest

from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.search.admission import Admission, Leakage
from transfer_prompting.runtime.tasks.example import Example

LONG = (
    "Read the report closely and weigh each of its claims before you name the section it belongs to in the "
    "paper."
)


def admission(*held_out: Example, shown: tuple[Example, ...] = ()) -> Admission:
    return Admission(Leakage(held_out, shown))


def test_a_prompt_is_let_in_once():
    gate = admission()
    prompt = Prompt(text="Decide.")
    assert gate.unseen([prompt, prompt]) == [prompt]
    assert gate.admit([prompt]) == ([], {"seen before": 1})


def test_the_same_words_at_another_position_are_another_prompt():
    gate = admission()
    gate.unseen([Prompt(text="Decide.")])
    moved = Prompt(text="Decide.", position="system")
    assert gate.admit([moved])[0] == [moved]


@pytest.mark.parametrize("proposed", [LONG.upper(), LONG.replace(".", "!"), f"“{LONG}”"])
def test_a_prompt_that_differs_in_case_or_punctuation_alone_is_refused(proposed: str):
    gate = admission()
    gate.unseen([Prompt(text=LONG)])
    assert gate.admit([Prompt(text=proposed)]) == ([], {"near-duplicate": 1})


@pytest.mark.parametrize("proposed", [LONG.replace("closely", "carefully"), LONG.replace("the report", "it")])
def test_one_other_word_makes_another_prompt_however_long_it_is(proposed: str):
    gate = admission()
    gate.unseen([Prompt(text=LONG)])
    assert len(gate.admit([Prompt(text=proposed)])[0]) == 1


def test_a_rule_added_to_a_long_prompt_makes_another_one():
    gate = admission()
    gate.unseen([Prompt(text=LONG)])
    assert len(gate.admit([Prompt(text=f"{LONG} Reply with one word.")])[0]) == 1


def test_near_duplicates_in_one_reply_are_admitted_once():
    twins = [Prompt(text="Choose a label."), Prompt(text="Choose a label!")]
    assert admission().admit(twins) == ([twins[0]], {"near-duplicate": 1})


def test_a_candidate_that_quotes_a_held_out_row_is_refused_and_counted():
    row = Example("7", "The dialysis scheduling system is unreachable and patients are arriving.", "urgent")
    quoting = Prompt(
        text="If you read: the dialysis scheduling system is unreachable and patients are, say urgent."
    )
    admitted, refused = admission(row).admit([quoting, Prompt(text="Decide how urgent it is.")])
    assert [prompt.text for prompt in admitted] == ["Decide how urgent it is."]
    assert refused == {"quotes held-out rows": 1}


def test_a_short_held_out_text_counts_when_it_is_quoted_whole():
    gate = admission(Example("1", "Is ice colder than steam?", "yes"))
    assert gate.admit([Prompt(text="For example: is ice colder than steam? yes.")])[1] == {
        "quotes held-out rows": 1
    }
    assert gate.admit([Prompt(text="Ice is colder than steam, as everyone knows.")])[1] == {}


def test_a_text_answer_of_a_held_out_row_may_not_be_quoted():
    gate = admission(Example("1", "Who wrote it?", "the elder brother of the king"))
    assert gate.admit([Prompt(text="Answer: The elder brother of the King.")])[1] == {
        "quotes held-out rows": 1
    }


def test_labels_and_letters_are_no_quotations():
    row = Example("1", "Which one?", "B", choices=("red", "green"))
    assert admission(row).admit([Prompt(text="Answer with A or B, red or green.")])[1] == {}


def test_what_train_rows_show_too_is_no_leak():
    boilerplate = "Answer the following question about the passage that is shown above."
    shown = (Example("t", f"{boilerplate} Is it red?", "yes"),)
    gate = admission(Example("v", f"{boilerplate} Is it blue?", "no"), shown=shown)
    assert gate.admit([Prompt(text=boilerplate)])[1] == {}


def test_scripts_without_spaces_are_guarded_by_characters():
    gate = admission(Example("1", "北京是中国的首都吗请回答", "是"))
    assert gate.admit([Prompt(text="例如：北京是中国的首都吗？")])[1] == {"quotes held-out rows": 1}


def test_a_given_prompt_without_the_variables_of_the_original_is_not_let_in():
    original = Prompt(text="## system\nSort tickets.\n\n## user\n{text}")
    gate = Admission(Leakage((), ()), original.text)
    others = [Prompt(text="Sort the ticket."), Prompt(text="Sort {text}."), Prompt(text="{text} {title}")]
    assert gate.unseen([original, *others]) == [original]


def test_a_candidate_with_other_variables_is_refused_and_the_next_is_looked_at():
    gate = Admission(Leakage((), ()), "Sort {text}.")
    found, refused = gate.admit([Prompt(text="Sort it."), Prompt(text="Put {text} in order.")])
    assert [prompt.text for prompt in found] == ["Put {text} in order."]
    assert refused == {"variables changed": 1}
    assert gate.admit([Prompt(text="Sort it."), Prompt(text="Sort that.")])[1] == {"variables changed": 2}


TEN = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        (TEN, True),
        ("one two three four five six seven eight", True),
        ("three four five six seven eight nine ten", True),
        ("Count: two three four five six seven eight nine, and on", True),
        ("one two three four five six seven", False),
        ("four five six seven eight nine ten", False),
        ("one two three four five six seven nine ten", False),
    ],
)
def test_eight_words_in_a_row_are_a_quotation(text: str, quotes: bool):
    assert Leakage([Example("1", TEN, "yes")], ()).quotes(text) == quotes


@pytest.mark.parametrize(
    ("row", "text", "quotes"),
    [
        (Example("1", "one two three four", "x"), "it is one two three four", True),
        (Example("1", "one two three", "x"), "it is one two three", False),
        (Example("1", "one two three four five", "x"), "two three four five", False),
        (Example("1", "Q?", "x", context="one two three four"), "one two three four", True),
        (Example("1", "Q?", "A", choices=("no", "one two three four")), "one two three four", True),
        (Example("1", "Q?", "x", also=("one two three four",)), "one two three four", True),
        (Example("1", "ＯＮＥ two Three-four", "x"), "ONE, TWO, THREE, FOUR!", True),
    ],
)
def test_texts_of_four_words_are_guarded_wherever_they_stand_in_a_row(row: Example, text: str, quotes: bool):
    assert Leakage([row], ()).quotes(text) == quotes
