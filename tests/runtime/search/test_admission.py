"""The gate: what is never scored."""

import pytest

from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.search.admission import Gate, Leakage
from transfer_prompting.runtime.tasks.example import Example

LONG = (
    "Read the report closely and weigh each of its claims before you name the section it belongs to in the "
    "paper."
)


def gate(*held_out: Example, shown: tuple[Example, ...] = ()) -> Gate:
    return Gate(Leakage(held_out, shown))


def test_a_prompt_is_let_in_once():
    door = gate()
    prompt = Prompt(text="Decide.")
    assert door.unseen([prompt, prompt]) == [prompt]
    assert door.admit([prompt]) == ([], {"seen before": 1})


def test_the_same_words_at_another_position_are_another_prompt():
    door = gate()
    door.unseen([Prompt(text="Decide.")])
    moved = Prompt(text="Decide.", position="system")
    assert door.admit([moved])[0] == [moved]


@pytest.mark.parametrize(
    ("known", "proposed"),
    [
        ("Which label fits this text?", "which label fits this text"),
        (LONG, LONG.replace("closely", "carefully")),
    ],
)
def test_a_prompt_that_differs_by_next_to_nothing_is_refused(known: str, proposed: str):
    door = gate()
    door.unseen([Prompt(text=known)])
    assert door.admit([Prompt(text=proposed)]) == ([], {"nearly seen before": 1})


def test_one_word_makes_a_short_prompt_another_one():
    door = gate()
    door.unseen([Prompt(text="Which label fits this text?")])
    assert len(door.admit([Prompt(text="Which section fits this text?")])[0]) == 1


def test_a_rule_added_to_a_long_prompt_makes_another_one():
    door = gate()
    door.unseen([Prompt(text=LONG)])
    assert len(door.admit([Prompt(text=f"{LONG} Reply with one word.")])[0]) == 1


def test_twins_of_one_step_are_let_in_once():
    twins = [Prompt(text="Choose a label."), Prompt(text="Choose a label!")]
    assert gate().admit(twins) == ([twins[0]], {"nearly seen before": 1})


def test_a_candidate_that_quotes_a_held_out_row_is_refused_and_counted():
    row = Example("7", "The dialysis scheduling system is unreachable and patients are arriving.", "urgent")
    quoting = Prompt(
        text="If you read: the dialysis scheduling system is unreachable and patients are, say urgent."
    )
    admitted, refused = gate(row).admit([quoting, Prompt(text="Decide how urgent it is.")])
    assert [prompt.text for prompt in admitted] == ["Decide how urgent it is."]
    assert refused == {"quotes held-out rows": 1}


def test_a_short_held_out_text_counts_when_it_is_quoted_whole():
    door = gate(Example("1", "Is ice colder than steam?", "yes"))
    assert door.admit([Prompt(text="For example: is ice colder than steam? yes.")])[1] == {
        "quotes held-out rows": 1
    }
    assert door.admit([Prompt(text="Ice is colder than steam, as everyone knows.")])[1] == {}


def test_a_text_answer_of_a_held_out_row_may_not_be_quoted():
    door = gate(Example("1", "Who wrote it?", "the elder brother of the king"))
    assert door.admit([Prompt(text="Answer: The elder brother of the King.")])[1] == {
        "quotes held-out rows": 1
    }


def test_labels_and_letters_are_no_quotations():
    row = Example("1", "Which one?", "B", choices=("red", "green"))
    assert gate(row).admit([Prompt(text="Answer with A or B, red or green.")])[1] == {}


def test_what_train_rows_show_too_is_no_leak():
    boilerplate = "Answer the following question about the passage that is shown above."
    shown = (Example("t", f"{boilerplate} Is it red?", "yes"),)
    door = gate(Example("v", f"{boilerplate} Is it blue?", "no"), shown=shown)
    assert door.admit([Prompt(text=boilerplate)])[1] == {}


def test_scripts_without_spaces_are_guarded_by_characters():
    door = gate(Example("1", "北京是中国的首都吗请回答", "是"))
    assert door.admit([Prompt(text="例如：北京是中国的首都吗？")])[1] == {"quotes held-out rows": 1}
