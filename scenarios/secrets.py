"""Secrets do not belong in scenario files: they are named (`api_key_env`), never written."""

import re
from collections.abc import Iterator
from typing import cast

from .document import Document, Key
from .errors import InputError

_LOOKS_SECRET = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|AIza[A-Za-z0-9_-]{30,}"
    r"|xox[baprs]-[A-Za-z0-9-]{10,}|AKIA[A-Z0-9]{16}|gsk_[A-Za-z0-9]{20,})"
)
_SECRET_KEYS = re.compile(r"^(api_?key|token|secret|password|authorization)$", re.IGNORECASE)


def refuse_secrets(document: Document) -> None:
    """InputError for the first value that looks like a key, without repeating it."""
    for path, value in _strings(document.data, ()):
        name = next((key for key in reversed(path) if isinstance(key, str)), "")
        if name == "base_url" and "@" in value:
            raise InputError(
                f"{document.place(path)}: holds an @, as a password before the host would; put the key in an "
                "environment variable, named in api_key_env (an @ of a path is written %40)"
            )
        environment = name == "api_key_env" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value)
        if environment or _SECRET_KEYS.match(name) or _LOOKS_SECRET.search(value):
            raise InputError(
                f"{document.place(path)}: looks like a secret; put it in an environment variable, named in "
                "api_key_env"
            )


def _strings(value: object, path: tuple[Key, ...]) -> Iterator[tuple[tuple[Key, ...], str]]:
    if path[:1] == ("tasks",) and path[2:] == ("rows",):
        return  # data, not settings: a text about tokens is no token
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in cast("dict[object, object]", value).items():
            yield from _strings(inner, (*path, str(key)))
    elif isinstance(value, list):
        for i, inner in enumerate(cast("list[object]", value)):
            yield from _strings(inner, (*path, i))
