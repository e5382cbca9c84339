"""Cases made from other cases.

It takes microseconds, where drawing a case anew takes hypothesis milliseconds.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from support.texts import NAMES, OBJECTS, SIGNS, WORDS

LONGEST = 20_000
"""Characters, bytes or items that a value may grow to."""

INTEGERS = [0, 1, -1, 2, 2**31, 2**62, 2**63, 2**64, -(2**63), 10**400]
FLOATS = [0.5, -0.5, -0.0, 1e-6, 1e308, -1e308, float("inf"), float("-inf"), float("nan")]
VALUES: list[Any] = [
    *INTEGERS,
    *FLOATS,
    None,
    True,
    False,
    "",
    "\ud800",
    "²",
    "9" * 5000,
    "NaN",
    [],
    {},
    [[]],
    {"": None},
]
# fmt: off
MARKUP = [
    "&a ", "*a", "<<: *a\n", "- ", ": ", "!!int ", "!!binary ", "? ", "|\n", "0b_", "1:30", "2001-99-99",
    "\x00", "\ud800", "\ufeff", "---\n", "%YAML 9\n", "\\u", "[" * 2000, '{"a":' * 500, "data: ",
    "data: [DONE]\n\n", ",", ";", '""', "\r", "hf://", "~root", "../", "${HOME}", "-0", "1e999", "0x1F",
    "Infinity", "null", "true",
]
# fmt: on
TOKENS = [*SIGNS, *WORDS, *NAMES, *OBJECTS, *MARKUP]
CODED = [
    *(token.encode(errors="surrogatepass") for token in TOKENS),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\x80", b"\xc1"),
    b"\xdf\xff\xff\xff\xff",
]


class Fixed(str):
    """A name that a case must keep as it is, such as that of a reader; it may be exchanged for another's."""


def mutated(random: Random, case: Any, pool: Sequence[Any], *, loose: bool = False) -> Any:
    """The case with one to four changes; parts of other cases of the pool may get into it.

    Types are kept, so that a case stays one; with `loose`, for cases that are mappings, values inside become
    anything.
    """
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        other = random.choice(pool)
        case = _fields(random, case, other, _loose) if loose else _changed(random, case, other)
    return case


def _changed(random: Random, value: Any, other: Any) -> Any:
    """The value with one change, of its type; `other` is one like it. Types that are not known are kept."""
    kind = type(value)
    if kind in (str, bytes):
        return _text(random, value, other if type(other) is kind else value)
    if kind in (int, float):
        return _number(random, value)
    if kind is tuple and value:
        at = random.randrange(len(value))
        same = type(other) is tuple and len(other) == len(value)
        part = other[at] if same else value[at]
        if random.random() < 0.7:
            part = _changed(random, value[at], part)
        return (*value[:at], part, *value[at + 1 :])
    if kind is list:
        return _items(random, value, other, _changed)
    if kind is dict:
        return _fields(random, value, other, _changed)
    return value


def _loose(random: Random, value: Any, other: Any) -> Any:
    """The value, or something inside it, changed into anything."""
    inside = random.random() < 0.85
    if inside and isinstance(value, list):
        return _items(random, value, other, _loose)
    if inside and isinstance(value, dict):
        return _fields(random, value, other, _loose)
    chance = random.random()
    if chance < 0.5:
        return random.choice(VALUES)
    return other if chance < 0.6 else _changed(random, value, other)


def _items(random: Random, value: list[Any], other: Any, change: Callable[..., Any]) -> list[Any]:
    items = list(value)
    others = other if isinstance(other, list) else items
    at = random.randrange(len(items) + 1)
    match random.randrange(8):
        case 0 if others:
            items.insert(at, random.choice(others))
        case 1:
            del items[at : at + 1]
        case 2:
            items[at:at] = items[at : at + 2] * random.choice((1, 2, 50))
        case 3:
            items = items[:at] + others[random.randrange(len(others) + 1) :]
        case 4:
            random.shuffle(items)
        case _ if at < len(items):
            items[at] = change(random, items[at], random.choice(others) if others else None)
        case _:
            pass
    return items[:LONGEST]


def _fields(random: Random, value: dict[Any, Any], other: Any, change: Callable[..., Any]) -> dict[Any, Any]:
    fields = dict(value)
    if not fields:
        return dict(other) if isinstance(other, dict) else fields
    others = other if isinstance(other, dict) and other else fields
    key = random.choice(list(fields))
    match random.randrange(8):
        case 0:
            del fields[key]
        case 1:
            name = random.choice((random.choice(TOKENS), random.choice(list(others))))
            fields[name] = fields.pop(key)
        case 2:
            fields |= {name: others[name] for name in [random.choice(list(others))]}
        case _:
            fields[key] = change(random, fields[key], others.get(key))
    return fields


def _number(random: Random, value: float) -> float:
    match random.randrange(4):
        case 0:
            return value + random.choice((1, -1))
        case 1:
            return -value
        case 2 if isinstance(value, int):
            return value ^ 1 << random.randrange(70)
        case _:
            return random.choice(FLOATS if isinstance(value, float) else INTEGERS)


def _text(random: Random, value: Any, other: Any) -> Any:
    """Text or bytes with one change, in what it holds where that is JSON or MessagePack, or anywhere."""
    if random.random() < 0.4:
        structured = _structured(random, value, other)
        if structured is not None:
            return structured
    at, end = sorted(random.randrange(len(value) + 1) for _ in range(2))
    end = min(end, at + random.choice((1, 2, 4, 16, 64, 1000)))
    token: Any = random.choice(TOKENS if isinstance(value, str) else CODED)
    match random.randrange(8):
        case 0:
            changed = value[:at] + token + value[at:]
        case 1:
            changed = value[:at] + token + value[end:]
        case 2:
            changed = value[:at] + value[end:]
        case 3:
            changed = value[:end] + value[at:end] * random.choice((1, 2, 7, 60)) + value[end:]
        case 4:
            changed = value[:at] + other[random.randrange(len(other) + 1) :]
        case 5:
            start = random.randrange(len(other) + 1)
            changed = value[:at] + other[start : start + random.choice((1, 8, 64))] + value[end:]
        case 6:
            changed = value[:at] + _character(random, value, at) + value[at + 1 :]
        case _:
            changed = value[:at] + token * random.choice((2, 5, 200)) + random.choice((value[at:], value[:0]))
    return changed[:LONGEST]


def _character(random: Random, value: Any, at: int) -> Any:
    """One character or byte, often a neighbour of the one that is there."""
    if isinstance(value, bytes):
        old = value[at] if at < len(value) else 0
        return bytes([random.choice((old ^ 1 << random.randrange(8), random.randrange(256), 0, 255))])
    old = ord(value[at]) if at < len(value) else 32
    codes = (old ^ 1, old ^ 32, random.randrange(128), random.randrange(0x3000), 0xD800, 0x1F600)
    return chr(random.choice(codes))


def _structured(random: Random, value: Any, other: Any) -> Any:
    """The text with one line of JSON, or all of it as MessagePack, changed; None where it is neither.

    Parts of the other text may get into it.
    """
    if _is_packed(value):
        return _unpacked(random, value, other if _is_packed(other) else value)
    end: Any = b"\n" if isinstance(value, bytes) else "\n"
    lines, others = value.split(end), other.split(end)
    at = random.randrange(len(lines))
    found, part = _json(lines[at]), _json(random.choice(others))
    if found is None:
        return None
    start, tree = found
    changed = _loose(random, tree, tree if part is None else part[1])
    try:
        text = json.dumps(changed, ensure_ascii=random.random() < 0.5)
    except (ValueError, RecursionError):
        return None
    coded: Any = text.encode(errors="surrogatepass") if isinstance(value, bytes) else text
    lines[at] = lines[at][:start] + coded
    return end.join(lines)


def _json(line: Any) -> tuple[int, Any] | None:
    """Where the object or array of a line begins, and its value; None of any other line."""
    packed = isinstance(line, bytes)
    start = 6 if line[:6] == (b"data: " if packed else "data: ") else 0
    if line[start : start + 1] not in ((b"{", b"[") if packed else ("{", "[")):
        return None
    try:
        return start, json.loads(line[start:])
    except (ValueError, RecursionError):
        return None


def _is_packed(value: Any) -> bool:
    """True of bytes that begin as an array or a map of MessagePack does."""
    return (
        isinstance(value, bytes)
        and value[:1] != b""
        and (0x80 <= value[0] < 0xA0 or value[0] in (0xDC, 0xDE))
    )


def _unpacked(random: Random, value: bytes, other: bytes) -> bytes | None:
    try:
        tree, part = msgspec.msgpack.decode(value), msgspec.msgpack.decode(other)
        return msgspec.msgpack.encode(_loose(random, tree, part))
    except (ValueError, RecursionError, OverflowError, TypeError):
        return None
