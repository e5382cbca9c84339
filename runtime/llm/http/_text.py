"""Text of answers in messages: excerpts on one line, and keys removed from them however they are encoded."""

import re
from base64 import b64encode, urlsafe_b64encode
from functools import lru_cache
from html.entities import codepoint2name

Key = str | tuple[str, ...] | None
"""The key of an endpoint, or several secrets that its requests carry."""

LEAST_SECRET = 8
"""Characters of a key that is worth hiding in replies: a shorter one (`none`, `EMPTY`, `ollama`) is a word
that local servers want, and would be missing from answers that hold it."""

_MARK = "[key]"

_READ = 2**16
"""Characters of an error that are read; a part of them is shown."""


def excerpt(text: str, length: int = 200) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 4 * length].split())
    if not line:
        return "(empty body)"
    return line if len(line) <= length else line[: length - 1] + "…"


def in_one_line(error: BaseException, key: Key) -> str:
    """An error's own words on one line, without the key; its kind where it has none."""
    text = redacted(str(error)[:_READ], key)
    return excerpt(text, 300) if text.strip() else type(error).__name__


def redacted(text: str, key: Key) -> str:
    """The text without the key or keys, should the endpoint have echoed them.

    Found are the key itself, its JSON, JavaScript, URL and HTML encodings (of any of its characters), its
    hexadecimal digits, and its base64, also in the middle of other bytes (`user:key`).
    """
    for one in _several(key):
        pattern, literals = _forms(one)
        for literal in literals:
            text = text.replace(literal, _MARK)
        text = pattern.sub(_MARK, text)
    return text


_ENCODED = re.compile(r"\\[ux]|&#|%[0-9a-fA-F]{2}")


def echoes(text: str, key: Key) -> bool:
    """A fast test for long texts: False where the text holds neither a part of the key that no encoding of
    single characters changes, nor the key as a whole encoded, nor anything encoded."""
    keys = _several(key)
    if any(_core(one) in text or any(form in text for form in _forms(one)[1]) for one in keys):
        return True
    return bool(keys) and _ENCODED.search(text) is not None


def secrets(key: Key) -> tuple[str, ...]:
    """The keys that are long enough to be worth hiding in replies."""
    return tuple(one for one in _several(key) if len(one) >= LEAST_SECRET)


def _several(key: Key) -> tuple[str, ...]:
    return tuple(filter(None, (key,) if isinstance(key, str) else key or ()))


@lru_cache(maxsize=64)
def _forms(key: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A pattern of the key with its characters encoded one by one, and the key encoded as a whole."""
    pattern = re.compile("".join(_character(character) for character in key))
    if len(key) < LEAST_SECRET:  # encoded as a whole, it might be any word
        return pattern, ()
    raw = key.encode()
    whole = [raw.hex(), raw.hex().upper()]
    for encode in (b64encode, urlsafe_b64encode):
        whole.append(encode(raw).decode().rstrip("="))
        for before in range(3):
            # Four characters stand for three bytes: those at the ends depend on what is beside the key too.
            first, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
            whole.append(encode(bytes(before) + raw).decode()[first:end])
    return pattern, tuple(sorted(set(whole), key=len, reverse=True))


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
        rf"\\{{1,16}}u\{{0{{0,8}}(?i:{point:x})\}}",
        *([rf"\\{{1,16}}x(?i:{point:02x})"] if point < 0x100 else []),
        f"(?i:{url})",
        f"(?i:{url.replace('%', '%25')})",
        rf"&#0{{0,8}}{point};",
        rf"&#[xX]0{{0,8}}(?i:{point:x});",
    ]
    if point in codepoint2name:
        forms.append(f"&{codepoint2name[point]};")
    return f"(?:{'|'.join(forms)})"
