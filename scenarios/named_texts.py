"""The prompts of an application that has several, as one text: each below a line `--- NAME ---`."""

import re
from collections.abc import Mapping
from typing import Annotated, cast

from pydantic import BeforeValidator

_NAME = r"[^\W\d][\w.-]{0,63}"
_MARK = re.compile(rf"^--- ({_NAME}) ---[ \t]*$", re.MULTILINE)


def join_texts(texts: Mapping[str, str]) -> str:
    """One text that holds all of these, in their order; `split_texts` gives them back.

    Raises ValueError where there are none, for a name that is no word, and for an empty text or one that
    itself holds a line `--- NAME ---`.
    """
    if not texts:
        raise ValueError("no text is given; give at least one by its name")
    for name, text in texts.items():
        if re.fullmatch(_NAME, name) is None:
            raise ValueError(f"{name!r} is no name of a text: use letters, digits, _, . and -")
        if not text.strip():
            raise ValueError(f"the text {name!r} is empty")
        if mark := _MARK.search(text):
            raise ValueError(f"the text {name!r} holds the line {mark[0]!r}, which begins another text")
    return "\n\n".join(f"--- {name} ---\n{text.strip()}" for name, text in texts.items())


def split_texts(text: str) -> dict[str, str]:
    """The texts by name of a prompt that holds several; empty for any other."""
    lead, *parts = _MARK.split(text)
    if lead.strip() or not parts:
        return {}
    return {name: words.strip() for name, words in zip(parts[::2], parts[1::2], strict=True)}


def _joined(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    texts = cast("Mapping[object, object]", value)
    if not all(isinstance(part, str) for one in texts.items() for part in one):
        raise ValueError("expected one text, or texts by their names")
    return join_texts(cast("Mapping[str, str]", texts))


PromptText = Annotated[str, BeforeValidator(_joined, json_schema_input_type=str | dict[str, str])]
"""A prompt: one text, or the texts of an application by name."""
