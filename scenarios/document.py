"""A YAML document that knows on which line every key stands, and refuses secrets."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from ._yaml import Key, path_text, read_yaml
from .errors import InputError
from .files import open_regular

__all__ = ["Document", "Key", "parse", "path_text", "read_text", "refuse_secrets"]


class Document:
    """Scenario keys as typed: `data`, and for messages the line of each key path where they stand in a file.
    `name` is shown in them."""

    def __init__(
        self, name: str, data: dict[str, object], lines: dict[tuple[Key, ...], int] | None = None
    ) -> None:
        self.name = name
        self.data = data
        self._lines = lines

    def place(self, path: tuple[Key, ...]) -> str:
        """`file.yaml:3: targets[0]`, with the line of the key, or of its nearest ancestor in the file."""
        key = path_text(path) or "scenario"
        if self._lines is None:
            return f"{self.name}: {key}" if path else self.name
        while path and path not in self._lines:
            as_text = (*path[:-1], str(path[-1]))  # a key that is a number is a text in the file
            path = as_text if as_text in self._lines else path[:-1]
        return f"{self.name}:{self._lines.get(path, 1)}: {key}"

    def set(self, path: str, value: object, source: str) -> None:
        """Set the value at a path of keys joined by dots, creating mappings on the way.

        Keys that are there may hold dots, as names of models do. InputError where a scalar is in the way.
        """
        here: object = self.data
        key, rest = _key(here, path.split("."))
        while rest:
            here = _step(here, key, source)
            key, rest = _key(here, rest)
        _put(here, key, value, source)


def parse(text: str, name: str) -> Document:
    """Parse one YAML mapping; InputError as `read_yaml` raises it, or where it is no mapping."""
    data, lines = read_yaml(text, name)
    if not isinstance(data, dict):
        raise InputError(f"{name}: expected a mapping of scenario keys (name, endpoints, models, …)")
    return Document(name, cast("dict[str, object]", data), lines)


def _key(here: object, parts: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The key that these parts begin with, the longest that is there, and the parts behind it."""
    known = cast("dict[str, object]", here) if isinstance(here, dict) else {}
    sizes = (size for size in range(len(parts), 1, -1) if ".".join(parts[:size]) in known)
    size = next(sizes, 1)
    return ".".join(parts[:size]), parts[size:]


def _step(here: object, key: str, source: str) -> object:
    if isinstance(here, dict):
        return cast("dict[str, object]", here).setdefault(key, {})
    if isinstance(here, list) and key.isdigit() and int(key) < len(cast("list[object]", here)):
        return cast("list[object]", here)[int(key)]
    raise InputError(f"{source}: {key!r} leads nowhere; the value above it holds no keys")


def _put(here: object, key: str, value: object, source: str) -> None:
    if isinstance(here, dict):
        cast("dict[str, object]", here)[key] = value
    elif isinstance(here, list) and key.isdigit() and int(key) < len(cast("list[object]", here)):
        cast("list[object]", here)[int(key)] = value
    else:
        raise InputError(f"{source}: {key!r} cannot be set; the value above it holds no keys")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; InputError where it cannot be read or is none."""
    try:
        with open_regular(path, "rb") as file:
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


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
