"""What a target model is sent: the row, the prompt where it stands, and the format last."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.grading import grade
from transfer_prompting.runtime.evaluation.outcomes import Reply
from transfer_prompting.runtime.prompt import POSITIONS, Position, Prompt
from transfer_prompting.runtime.tasks.answers import AnswerSpace, answer_space
from transfer_prompting.runtime.tasks.example import Example, Question
from transfer_prompting.runtime.tasks.task import ConfidenceSource, Reading, Task, answer_format, messages

QUESTION = Question("1", "Which city?", context="Italy is a country.", choices=("Paris", "Rome"))
VERBALISED = Reading(read="generate", confidence="verbalised")
LIKELIHOOD = Reading(read="likelihood", confidence="token_probability")


def task(answers: AnswerSpace | None = None) -> Task:
    return Task(
        name="t", description="", answers=answers or answer_space("multiple_choice"), original="Answer."
    )


def content(position: Position, reading: Reading = VERBALISED) -> list[tuple[str, str]]:
    prompt = Prompt(text=" Think of maps. ", position=position)
    return [(message.role, message.content) for message in messages(task(), prompt, QUESTION, reading)]


def test_a_system_prompt_stands_alone_in_its_turn():
    system, user = content("system")
    assert system == ("system", "Think of maps.")
    assert user[0] == "user"
    assert "Think of maps." not in user[1]


@pytest.mark.parametrize(
    ("position", "order"),
    [
        (
            "before",
            ["Think of maps.", "Italy is a country.", "Which city?", "A. Paris", "The answer is"],
        ),
        ("after", ["Italy is a country.", "Which city?", "A. Paris", "Think of maps.", "The answer is"]),
    ],
)
def test_the_prompt_stands_before_the_row_or_between_row_and_format(position: Position, order: list[str]):
    ((role, text),) = content(position)
    assert role == "user"
    places = [text.index(part) for part in order]
    assert places == sorted(places)


@pytest.mark.parametrize("position", ["system", "before"])
def test_what_all_rows_share_comes_first(position: Position):
    prompt = Prompt(text="Think of maps.", position=position)
    first, second = (
        "".join(message.content for message in messages(task(), prompt, Question("1", text), VERBALISED))
        for text in ("One?", "Two?")
    )
    assert first.startswith("Think of maps.")
    assert second.startswith("Think of maps.")


@pytest.mark.parametrize("position", POSITIONS)
def test_an_empty_prompt_leaves_only_the_row_and_the_format(position: Position):
    turns = messages(task(), Prompt(text="  ", position=position), QUESTION, VERBALISED)
    assert [turn.role for turn in turns] == ["user"]
    assert turns[0].content.startswith("Italy is a country.")


def test_a_generated_answer_is_asked_for_in_two_lines():
    lines = answer_format(task(), QUESTION, VERBALISED).splitlines()
    assert "one letter of: A, B" in lines[0]
    assert lines[-2:] == ["Answer: the answer", "Confidence: NN%"]


@pytest.mark.parametrize("source", ["token_probability", "agreement", "none"])
def test_a_confidence_is_asked_for_only_where_the_model_must_state_it(source: ConfidenceSource):
    text = answer_format(task(), QUESTION, Reading(read="generate", confidence=source))
    assert "Answer: " in text
    assert "onfidence" not in text


def test_a_likelihood_is_asked_for_by_naming_the_answers_and_no_line_format():
    text = answer_format(task(), QUESTION, LIKELIHOOD)
    assert "A or B" in text
    assert "Confidence" not in text


@pytest.mark.parametrize(("kind", "count"), [("yes_no", 2), ("yes_no_maybe", 3), ("text", 3), ("numeric", 3)])
def test_no_more_guesses_are_asked_for_than_answers_are_allowed(kind: str, count: int):
    text = answer_format(task(answer_space(kind)), QUESTION, Reading(read="generate", confidence="top_k"))
    assert f"G{count}: " in text
    assert f"P{count}: " in text
    assert f"G{count + 1}" not in text


@given(text=st.text(max_size=80), question=st.text(min_size=1, max_size=80))
def test_no_prompt_or_row_is_taken_for_a_placeholder(text: str, question: str):
    turns = messages(
        task(), Prompt(text=text + "{{hint}}"), Question("1", question + "{{format}}"), VERBALISED
    )
    assert "{{hint}}" in turns[-1].content
    assert "{{format}}" in turns[-1].content


@pytest.mark.parametrize("source", get_args(ConfidenceSource))
@pytest.mark.parametrize("kind", ["multiple_choice", "yes_no", "numeric", "text", "judged"])
def test_a_reply_that_fills_in_the_format_that_was_asked_for_follows_it(kind: str, source: ConfidenceSource):
    """What is asked for and what is counted are the same format."""
    answer = {"multiple_choice": "B", "yes_no": "no", "numeric": "7"}.get(kind, "words")
    reading = Reading(read="generate", confidence=source)
    asked = answer_format(task(answer_space(kind)), QUESTION, reading)
    fill = {"Answer": answer, "G": answer, "Confidence": "60%", "P": "30%"}
    lines = [line.split(":")[0] for line in asked.splitlines()[1:]]
    reply = "\n".join(f"{key}: {fill[key.rstrip('123')]}" for key in lines)
    row = Example("1", "Which city?", answer, choices=("Paris", "Rome"))
    grades = grade(task(answer_space(kind)), row, Reply(example="1", text=reply), reading)
    assert grades.followed, reply
    assert grades.answer == answer
