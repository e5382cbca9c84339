"""Templated questions: `{title}\\n{body}`."""

import re

from ..errors import InputError
from .data import Values
from .raw import Unfit, at, text

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def placeholders(template: str) -> list[str]:
    """The fields a template shows, in order. Raises InputError for a stray or empty brace."""
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


def fill(template: str, values: Values) -> str:
    """The template with each `{field}` (a dotted path) replaced, `{{` and `}}` as braces."""

    def replaced(piece: re.Match[str]) -> str:
        if piece[1] is None:
            return piece[0][0]
        path = piece[1].strip()
        return text(at(values, path), path)

    filled = _PIECE.sub(replaced, template).strip()
    if not filled:
        raise Unfit("the templated question is empty")
    return filled
