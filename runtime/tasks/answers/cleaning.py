"""Text of replies in the form in which it is read and compared.

Readers get at most `LONGEST` characters in which no white space and no sign repeats without end, and their
patterns bound every repetition that a failed match could run through again: reading takes time linear in the
length of a reply.
"""

import re
import unicodedata
from functools import lru_cache

from .reasoning import without_reasoning

__all__ = ["LONGEST", "folded", "plain", "shortened", "trimmed", "without_reasoning"]

LONGEST = 6_000
"""Characters of a reply that are read: its first and its last halves of so many."""

_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_REPEATED = re.compile(r"([^\w\s])\1{4,}")
_LATEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]{0,2000})\}|\\([%$&#])")
_FRACTION = re.compile(
    r"(?P<whole>\d\s?)?\\[dt]?frac\s?(?:\{\s?(-?\d{1,9})\s?\}\s?\{\s?(\d{1,9})\s?\}|(\d)\s?(\d)(?!\d))"
)
_TIMES = re.compile(r"\\(?:times|cdot)\b")
_POWER = re.compile(r"(?<=\d)\*\*(?=[-\d])")
_PRODUCT = re.compile(r"(?<=\d)(?:\*| \* )(?=\d)")
_VULGAR = re.compile("(\\d?)([\u00bc-\u00be\u2150-\u215e\u2189])")
_SUPERSCRIPT = re.compile("(?<=\\d)([\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,9})")
_EMPHASIS = re.compile(r"\*+|`+|~~|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)|__+")
_NEXT_QUESTION = re.compile(
    r"^[ >#*]{0,8}(?:question|input|问题|题目)\s?\d{0,9}\s?:", re.IGNORECASE | re.MULTILINE
)
_TYPOGRAPHIC = str.maketrans(
    {
        **dict.fromkeys("‘’", "'"),
        **dict.fromkeys("“”", '"'),
        **dict.fromkeys("−–—\u2010", "-"),
        "⁄": "/",
        "\u066b": ".",
        "\u066c": ",",
    }
)
_WRAPPING = " \t\r\n\"'`*()[]{}<>.,;:!?。、「」『』【】《》·…-="


@lru_cache(maxsize=16)
def plain(text: str) -> str:
    """The words of a reply: NFKC forms, straight quotes, no reasoning, emphasis or invisible characters.

    White space becomes single spaces and line breaks, fractions and powers become `1/2` and `10^3`. Of a long
    reply beginning and end are kept. A reply that answers and then goes on to put itself another question
    ends before that question.
    """
    text = _INVISIBLE.sub("", shortened(without_reasoning(text)))
    text = unicodedata.normalize("NFKC", _SUPERSCRIPT.sub(r"^\1", _VULGAR.sub(_written_out, text)))
    text = _REPEATED.sub(r"\1\1\1\1", shortened(text).translate(_TYPOGRAPHIC).translate(_DIGITS))
    text = _spaced(_LATEX.sub(r"\1\2", text.replace("{,}", ",").replace("\\!", "").replace("\\,", " ")))
    text = _TIMES.sub("×", _FRACTION.sub(_slashed, text))
    text = _EMPHASIS.sub("", _PRODUCT.sub(" × ", _POWER.sub("^", text))).strip()
    following = _NEXT_QUESTION.search(text)
    return text[: following.start()].strip() if following and following.start() > 0 else text


def shortened(text: str) -> str:
    """The text, or its beginning and end on lines of their own where it is longer than `LONGEST`."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[: half - 1]}\n{text[-half:]}"


def trimmed(text: str) -> str:
    """The text without surrounding space, quotes, brackets and punctuation.

    A minus sign before a number and one behind a letter (`A-`) stay.
    """
    bare = text.strip(_WRAPPING)
    if not bare:
        return ""
    before, _, after = text.partition(bare)
    minus = "-" if before.endswith("-") and bare[:1].isdigit() else ""
    return f"{minus}{bare}{'-' if after.startswith('-') and len(bare) == 1 else ''}"


def folded(text: str) -> str:
    """The form in which texts are compared: NFKC, case folded, underscores and hyphens as single spaces.

    A minus sign before a number and one behind a letter (`A-`) stay.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_JOINT.sub(" ", text).split())


_JOINT = re.compile(r"_|(?<=\w)-(?=\W*\w)|(?<!\w)-(?!\d)|^-$")

_DIGITS = {
    point: str(digit)
    for zero in (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50)
    for digit, point in enumerate(range(zero, zero + 10))
}
"""Arabic, Persian, Devanagari, Bengali and Thai digits; NFKC leaves them as they are."""


def _spaced(text: str) -> str:
    """Lines with single spaces inside, at most one empty line between them."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return "\n".join(line for i, line in enumerate(lines) if line or (i > 0 and lines[i - 1]))


def _written_out(match: re.Match[str]) -> str:
    """`½` as `1/2`, `2½` as `2 1/2`."""
    fraction = unicodedata.normalize("NFKC", match[2]).replace("⁄", "/")
    return f"{match[1]} {fraction}" if match[1] else fraction


def _slashed(match: re.Match[str]) -> str:
    """`\\frac{1}{2}` as `1/2`, `2\\frac{1}{2}` as `2 1/2`."""
    over, under = match[2] or match[4], match[3] or match[5]
    whole = f"{match['whole'].strip()} " if match["whole"] else ""
    return f"{whole}{over}/{under}"
