"""Text of answers in messages: excerpts on one line, and keys removed from them however they are encoded."""

import re
from base64 import b64encode, urlsafe_b64encode
from functools import lru_cache
from html.entities import codepoint2name

Key = str | tuple[str, ...] | None
"""The key of an endpoint, or several secrets that its requests carry."""

_MARK = "[key]"


def excerpt(text: str, length: int = 200) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 4 * length].split())
    if not line:
        return "(empty body)"
    return line if len(line) <= length else line[: length - 1] + "…"


def redacted(text: str, key: Key) -> str:
    """The text without the key or keys, should the endpoint have echoed them.

    Found are the key itself, its JSON, URL and HTML encodings (of any of its characters), and its base64.
    """
    for one in _several(key):
        pattern, literals = _forms(one)
        for literal in literals:
            text = text.replace(literal, _MARK)
        text = pattern.sub(_MARK, text)
    return text


def echoes(text: str, key: Key) -> bool:
    """A fast test for long texts: True where a part of the key that no encoding changes is in the text."""
    return any(_core(one) in text for one in _several(key))


def _several(key: Key) -> tuple[str, ...]:
    return tuple(filter(None, (key,) if isinstance(key, str) else key or ()))


@lru_cache(maxsize=64)
def _forms(key: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    raw = key.encode()
    literals = (b64encode(raw).decode().rstrip("="), urlsafe_b64encode(raw).decode().rstrip("="))
    return re.compile("".join(_character(character) for character in key)), literals


@lru_cache(maxsize=64)
def _core(key: str) -> str:
    return max(re.findall(r"[A-Za-z0-9]+", key), key=len, default=key)


def _character(character: str) -> str:
    """A pattern for one character of a key in any of the encodings.

    Repetitions are bounded, so that a text full of backslashes takes time linear in its length.
    """
    point = ord(character)
    url = "".join(f"%{byte:02x}" for byte in character.encode())
    forms = [
        r"\\{0,16}" + re.escape(character),
        rf"\\{{1,16}}u(?i:{point:04x})",
        f"(?i:{url})",
        f"(?i:{url.replace('%', '%25')})",
        rf"&#0{{0,8}}{point};",
        rf"&#[xX]0{{0,8}}(?i:{point:x});",
    ]
    if point in codepoint2name:
        forms.append(f"&{codepoint2name[point]};")
    return f"(?:{'|'.join(forms)})"
