"""Confidence that a reply states in numbers."""

import re

from .cleaning import plain

_LEAD = (
    r"(?:[\s\"'<>(\[~≈≥≤=*,]|\b(?:very|quite|fairly|extremely|high|low|medium|moderate|about|around|approximately"
    r"|roughly|nearly|almost|at least|over|more than)\b(?:\s?[:-]\s)?){0,8}"
)
"""Words and signs that may precede the number of a confidence."""

_AMOUNT = r"-?(?:\d{1,3}(?:\.\d{1,9}|,\d{1,2})?|0?[.,]\d{1,9})(?!\d|[.,]\d)"
_PERCENT = r"\s?(?:%|percent\b|per\scent\b)"
_STATED = re.compile(
    r"(?:\b(?:confidence|certainty|probability)(?:[\s_](?:level|score|rating))?\b(?:\sin\s\w{1,20}\sanswer)?"
    r"|置信度|信心)(?P<scale>\s?[(\[][^()\[\]\n]{1,20}[)\]]"
    r"|\s(?:on\sa\sscale\s(?:of|from)\s)?\d{1,3}\s?(?:-|to)\s?\d{1,4}(?=\s?[:=]))?[\s\"']{0,3}"
    r"(?:is|of|at|[:=|])?"
    rf"{_LEAD}(?P<after>{_AMOUNT})[>)\]\"']{{0,2}}(?P<unit>{_PERCENT}|\s?\(?(?:/|(?:out\s)?of)\s?\d{{1,6}})?"
    r"(?P<range>\s?(?:-|to)\s?\d|e[-+]?\d|\s(?:stars?|points?)\b)?"
    rf"|(?P<before>{_AMOUNT})(?P<percent>{_PERCENT})[ \t](?:confiden|sure|certain)",
    re.IGNORECASE,
)
_OUT_OF = re.compile(r"(?:/|out\sof|^\s?\(?of|\d\s?-|\d\sto)\s?(\d{1,6})", re.IGNORECASE)
"""The top of a scale: `/10`, `out of 10`, `(0-100)`."""


def verbalised(text: str) -> float | None:
    """The confidence in [0, 1] that a reply states in numbers, the last where it states several.

    `90%`, `90 percent`, `90`, `0.9`, `0,9`, `9/10`, `high (90%)` and `(0-100): 90` are all 0.9; a bare number
    up to 1 is a share, one above 1 a percentage. None for words alone ("very high"), for ranges ("80-90%"),
    for points on no scale ("3 stars"), for numbers out of range, and where none is stated.
    """
    found = list(_STATED.finditer(plain(text)))
    if not found or found[-1]["range"]:
        return None
    last = found[-1]
    value = float((last["after"] or last["before"]).replace(",", "."))
    unit = last["unit"] or last["percent"] or ""
    scale = _OUT_OF.search(unit) or (None if unit else _OUT_OF.search(last["scale"] or ""))
    if scale:
        value = value / int(scale[1]) if int(scale[1]) else -1.0
    elif unit or value > 1:
        value /= 100
    return value if 0 <= value <= 1 else None
