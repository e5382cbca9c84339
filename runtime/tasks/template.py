"""Texts with `{field}` variables and chat turns: templates of rows, and prompts as applications send them."""

import re
from collections.abc import Callable, Mapping
from typing import Literal

from ...scenarios.errors import InputError
from ...scenarios.named_texts import split_texts

Role = Literal["system", "user", "assistant"]

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_VARIABLE = re.compile(r"\{\{\s?([^\W\d][\w.]{0,99})\s?\}\}|\{([^\W\d][\w.]{0,99})\}")
_NAME = r"([^\W\d][\w.]{0,99})"
_SPEC = r"(?:![rsa](?::[^{}\s]{1,10})?|:[<>^=+.\w-]{1,10})"
_FOREIGN = re.compile(
    rf"[$#]\{{\s?{_NAME}\s?\}}|\${_NAME}|%\({_NAME}\)s|\[\[\s?{_NAME}\s?\]\]|<<\s?{_NAME}\s?>>"
    rf"|(?<!\{{)\{{{_NAME}{_SPEC}\}}|(?<!\{{)\{{\s{{1,9}}{_NAME}\s{{1,9}}\}}"
)
"""Placeholders of other languages: shells and JavaScript, Ruby, Python, wikis, braces with more in them."""
_TURN = re.compile(r"^##[ \t]+(system|user|assistant)[ \t]*$", re.IGNORECASE | re.MULTILINE)


def placeholders(template: str) -> list[str]:
    """The fields that a row template shows, in order. Raises InputError for a stray or empty brace."""
    fields: list[str] = []
    for piece in _PIECE.finditer(template):
        if piece[0] in {"{{", "}}"}:
            continue
        if piece[1] is None or not piece[1].strip():
            raise InputError(
                f"template {template!r}: {piece[0]!r} names no field; write {{{{ or }}}} for a brace"
            )
        fields.append(piece[1].strip())
    return fields


def fill(template: str, value: Callable[[str], str]) -> str:
    """A row template with each `{field}` replaced by its value, `{{` and `}}` by braces."""
    return _PIECE.sub(
        lambda piece: piece[0][0] if piece[1] is None else value(piece[1].strip()), template
    ).strip()


def variables(text: str) -> set[str]:
    """The names in braces that a prompt holds, `{name}` or `{{name}}`; a dotted path is one name.

    Other braces, as those of a JSON object, are no variables.
    """
    return {match[1] or match[2] for match in _VARIABLE.finditer(text)}


def foreign(text: str) -> dict[str, str]:
    """Names in placeholders of another syntax than `{name}`, each with the placeholder as it is written."""
    found = ((match[0], next(filter(None, match.groups()))) for match in _FOREIGN.finditer(text))
    return {name.rstrip("."): written for written, name in found}


def filled(text: str, values: Mapping[str, str]) -> str:
    """A prompt with its variables replaced, once: values are never searched for variables.

    Names without a value, and all other braces, stay as they are.
    """
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], match[0]), text)


def chat_turns(text: str) -> list[tuple[Role, str]]:
    """The turns of a prompt that begins with a line `## system`, `## user` or `## assistant`; else none."""
    lead, *parts = _TURN.split(text)
    if lead.strip() or not parts:
        return []
    roles: list[Role] = [_ROLES[role.lower()] for role in parts[::2]]
    return [(role, words.strip()) for role, words in zip(roles, parts[1::2], strict=True)]


_ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}


def altered(original: str, candidate: str) -> str | None:
    """The variables, turns or named texts that a candidate for a prompt lost or invented, as text; None if
    none."""
    texts, others = split_texts(original), split_texts(candidate)
    if texts:
        if list(texts) != list(others):
            return f"changed the texts ({', '.join(texts)})"
        changes = (altered(text, others[name]) for name, text in texts.items())
        return next((change for change in changes if change is not None), None)
    before, after = variables(original), variables(candidate)
    if lost := sorted(before - after):
        return f"lost {', '.join(f'{{{name}}}' for name in lost)}"
    if invented := sorted(after - before):
        return f"invented {', '.join(f'{{{name}}}' for name in invented)}"
    roles = [role for role, _ in chat_turns(original)]
    if roles != [role for role, _ in chat_turns(candidate)]:
        return f"changed the turns ({', '.join(roles) or 'none'})"
    return None
