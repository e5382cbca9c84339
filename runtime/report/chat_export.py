"""The best prompt of a target as chat turns with a place for the row: for OpenAI and LangChain."""

import json
from collections.abc import Callable, Sequence

from ...scenarios.endpoints import Model
from ...scenarios.errors import InputError
from ..llm.chat import Message
from ..prompt import Prompt
from ..record.results import TargetResult
from ..tasks.load import LoadedTask
from ..tasks.task import Frame, Reading, answer_format, turns

ROW, FORM = "row", "answer_format"
"""Names of the places for a row, and for the words that ask for its answer where rows differ in them."""

ROWS = 50
"""Test rows looked at to see whether these words are the same for all."""

_OPEN, _CLOSE = "\ue000", "\ue001"
"""Around the name of a place while a template is made: characters for private use, which no prompt holds."""


def as_openai(target: TargetResult, loaded: LoadedTask, reading: Reading, model: Model) -> str:
    """The body of a chat completion request as JSON, `{row}` where the row goes.

    A prompt with variables has them in its text, `{name}`. Fill them in with a plain replacement: other
    braces are the prompt's own.
    """
    body: dict[str, object] = {
        "model": model.model,
        "messages": [
            {"role": turn.role, "content": _placed(turn.content, lambda name: f"{{{name}}}")}
            for turn in _turns(target, loaded, reading)
        ],
        "temperature": model.temperature or 0,
        model.token_limit or "max_tokens": model.max_tokens or reading.max_tokens,
    }
    if loaded.task.format.name == "json":
        body["response_format"] = {"type": "json_object"}
    return json.dumps(body, ensure_ascii=False, indent=2)


def as_langchain(target: TargetResult, loaded: LoadedTask, reading: Reading) -> str:
    """Python code that makes a `ChatPromptTemplate` (langchain-core) with the variable `row`, or the prompt's
    own variables, dots in their names replaced by underscores."""
    lines = "\n".join(
        f"        ({json.dumps(turn.role)}, {json.dumps(_escaped(turn.content), ensure_ascii=False)}),"
        for turn in _turns(target, loaded, reading)
    )
    return (
        "from langchain_core.prompts import ChatPromptTemplate\n\n"
        f"prompt = ChatPromptTemplate.from_messages(\n    [\n{lines}\n    ]\n)"
    )


def _turns(target: TargetResult, loaded: LoadedTask, reading: Reading) -> Sequence[Message]:
    prompt: Prompt = target.best.prompt.prompt()
    if prompt.texts:
        raise InputError(
            f"{target.task} with {target.model}: a prompt of several texts is no chat; use --format json"
        )
    task, rows = loaded.task, loaded.splits.test[:ROWS]
    forms = {answer_format(task, row.asked(), reading) for row in rows} if task.framed else {""}
    fields = tuple((name, _place(name)) for name in task.variables)
    form = forms.pop() if len(forms) == 1 else _place(FORM)
    return turns(prompt, Frame("" if task.variables else _place(ROW), form, fields))


def _place(name: str) -> str:
    return f"{_OPEN}{name}{_CLOSE}"


def _placed(text: str, shown: Callable[[str], str]) -> str:
    """The text with each place as `shown` writes it."""
    first, *parts = text.split(_OPEN)
    pairs = (part.partition(_CLOSE) for part in parts)
    return first + "".join(f"{shown(name)}{rest}" for name, _, rest in pairs)


def _escaped(text: str) -> str:
    """A format string: braces of the text doubled, places in single ones."""
    plain = text.replace("{", "{{").replace("}", "}}")
    return _placed(plain, lambda name: f"{{{name.replace('.', '_')}}}")
