"""Prompts as applications send them: variables, chat turns, files, and what is added to them."""

from pathlib import Path

import pytest

from transfer_prompting.runtime.prompt import Prompt
from transfer_prompting.runtime.tasks.load import LoadedTask, load_task
from transfer_prompting.runtime.tasks.task import Reading, messages
from transfer_prompting.runtime.tasks.template import altered, chat_turns, filled, variables
from transfer_prompting.scenarios.errors import InputError
from transfer_prompting.scenarios.tasks import TaskSettings

GENERATE = Reading(read="generate", confidence="none")
ROWS = [
    {"title": f"T{i}", "body": f"It is {{body}} {i}.", "label": ("hot", "cold")[i % 2]} for i in range(12)
]


def loaded(folder: Path, **task: object) -> LoadedTask:
    given = {"rows": ROWS, "kind": "classification", "fields": {"answer": "label"}, "few_labels": 0, **task}
    spec = TaskSettings.model_validate(given).at(folder)
    return load_task("t", spec, folder=folder, seed=1, seed_prompt="Which label?")


def sent(found: LoadedTask, text: str | None = None) -> list[tuple[str, str]]:
    row = found.splits.train[0].asked()
    prompt = Prompt(text=found.task.original if text is None else text)
    return [(turn.role, turn.content) for turn in messages(found.task, prompt, row, GENERATE)]


def test_variables_are_replaced_and_the_row_is_not_added_again(tmp_path: Path):
    found = loaded(tmp_path, prompt="Title: {title}\nBody: {{ body }}\nLabel:", frame="none")
    number = found.splits.train[0].fields[1][1].removeprefix("T")
    assert sent(found) == [("user", f"Title: T{number}\nBody: It is {{body}} {number}.\nLabel:")]
    assert sent(found, "Only {title}!") == [("user", f"Only T{number}!")]


def test_a_prompt_without_the_variables_of_the_original_gets_the_row(tmp_path: Path):
    fields = {"question": "body", "answer": "label"}
    found = loaded(tmp_path, prompt="Title: {title}. Label:", frame="none", fields=fields)
    assert sent(found, "Decide.") == [("user", f"Decide.\n\n{found.splits.train[0].question}")]


def test_with_a_frame_the_format_follows_the_filled_prompt(tmp_path: Path):
    ((role, text),) = sent(loaded(tmp_path, prompt="{title}: {body}"))
    assert role == "user"
    assert text.startswith("T")
    assert "one of: cold, hot" in text
    assert text.endswith("Answer: the answer")


def test_turns_of_a_prompt_from_a_file_are_sent_as_they_are(tmp_path: Path):
    (tmp_path / "triage.md").write_text(
        "## system\nYou sort {title}.\n\n## user\nText: {body}\n", encoding="utf-8"
    )
    found = loaded(tmp_path, prompt="triage.md", frame="none")
    number = found.splits.train[0].fields[1][1].removeprefix("T")
    assert sent(found) == [
        ("system", f"You sort T{number}."),
        ("user", f"Text: It is {{body}} {number}."),
    ]
    assert not found.task.placed


def test_turns_without_variables_get_the_row_at_their_end(tmp_path: Path):
    fields = {"question": "body", "answer": "label"}
    found = loaded(tmp_path, prompt="## system\nYou sort tickets.", frame="none", fields=fields)
    assert sent(found) == [("system", "You sort tickets."), ("user", found.splits.train[0].question)]


def test_without_a_frame_a_plain_prompt_and_the_row_are_all_that_is_sent(tmp_path: Path):
    found = loaded(tmp_path, frame="none", fields={"question": "title", "answer": "label"})
    assert sent(found) == [("user", f"Which label?\n\n{found.splits.train[0].question}")]


def test_braces_that_are_no_field_are_sent_as_they_are_with_a_warning(tmp_path: Path):
    found = loaded(tmp_path, prompt='{title} {"a": 1} {json}', frame="none")
    assert sent(found)[0][1].endswith('{"a": 1} {json}')
    assert "the prompt holds {json}, which is no field of the rows and is sent as it is" in found.warnings


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{titel}: {body}", "tasks.t.prompt: {titel} is no field of the rows; did you mean 'title'?"),
        ("{title} {label}", "tasks.t.prompt: {label} holds the answer and must not be shown"),
        ("none.md", "none.md: cannot be read: No such file"),
        *(
            (
                f"Sort {written}",
                f"{written} looks like a placeholder of another syntax for the field 'title'; ",
            )
            for written in ("${title}", "$title", "%(title)s", "{title!r}", "{title:>20}", "{ title }")
        ),
        ("Sort [[title]]", "write {title}"),
        ("Sort <<title>>", "write {title}"),
    ],
)
def test_a_prompt_that_cannot_be_filled_is_refused_with_the_reason(tmp_path: Path, prompt: str, said: str):
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, prompt=prompt)
    assert said in str(caught.value)


def test_variables_are_names_in_braces_and_values_are_never_searched():
    assert variables('{a} {{b.c}} {{ d }} {"x": {y}} { e } {1} {}') == {"a", "b.c", "d", "y"}
    assert filled("{a} {b} {c}", {"a": "{b}", "b": "2"}) == "{b} 2 {c}"


def test_turns_are_those_under_headings_at_the_start():
    assert chat_turns("## System\nA\n## user\nB") == [("system", "A"), ("user", "B")]
    assert chat_turns("Lead\n## user\nB") == []
    assert chat_turns("## users\nB") == []


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        ("Sort {text}, {title}", None),
        ("Sort {text}", "lost {title}"),
        ("{text} {title} {mood}", "invented {mood}"),
        ("## user\n{text} {title}", "changed the turns (none)"),
    ],
)
def test_a_candidate_must_keep_the_variables_and_turns_and_invent_none(candidate: str, problem: str | None):
    assert altered("{title}: {text}", candidate) == problem
