"""Preparing a reply for reading: wrappings, refusals, statements, names in running text."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import msgspec

_TAG = re.compile(r"<(?P<end>/)?(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_LATEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]*)\}")
_EMPHASIS = re.compile(r"\*+|`+|~~|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)|__+")
_NEXT_QUESTION = re.compile(r"^[ \t>#*]*(?:question|input|问题|题目)\s*\d*\s*:", re.IGNORECASE | re.MULTILINE)
_TYPOGRAPHIC = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "−": "-", "–": "-", "—": "-", "⁄": "/"})
_WRAPPING = " \t\r\n\"'`*()[]{}<>.,;:!?。、「」『』【】《》·…-="


def without_reasoning(text: str) -> str:
    """The reply without reasoning blocks and surrounding space.

    A block that was never closed runs to the end: what it holds is no answer. One that was opened in the
    prompt, and so only ends here, starts at the beginning.
    """
    kept: list[str] = []
    at, thinking = 0, False
    for tag in _TAG.finditer(text):
        if not tag["end"]:
            if not thinking:
                kept.append(text[at : tag.start()])
            thinking = True
            continue
        if not thinking:
            kept.clear()
        at, thinking = tag.end(), False
    return "".join(kept if thinking else [*kept, text[at:]]).strip()


def plain(text: str) -> str:
    """The words of a reply: NFKC forms, straight quotes, no reasoning, emphasis or invisible characters.

    A reply that answers and then goes on to put itself another question ends before that question.
    """
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", without_reasoning(text)))
    text = _LATEX.sub(r"\1", text.translate(_TYPOGRAPHIC)).replace("{,}", ",")
    text = _EMPHASIS.sub("", text).strip()
    following = _NEXT_QUESTION.search(text)
    return text[: following.start()].strip() if following and following.start() > 0 else text


def trimmed(text: str) -> str:
    """The text without surrounding space, quotes, brackets and punctuation."""
    return text.strip(_WRAPPING)


def folded(text: str) -> str:
    """What is compared: NFKC, no case, underscores and hyphens as spaces, single spaces."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\s_\-]+", " ", text).strip()


_UNABLE = (
    r"\b(?:i|we)(?:'m|\s+am|\s+are)?\s+(?:really\s+|very\s+|simply\s+)?"
    r"(?:can't|cannot|can\s+not|could\s+not|couldn't|won't|will\s+not|unable\s+to|not\s+(?:able|allowed)\s+to"
    r"|not\s+comfortable|do\s+not|don't|not\s+sure|decline|must\s+decline|refuse)\s*(?:to\s+)?"
)
_ACT = (
    r"(?:help|assist|answer|provide|comply|fulfil|fulfill|determine|classify|decide|tell|do\s+that|choose|know"
    r"|have\s+enough|give|offer|with\s+that|which|what|engage|make|predict|access|discuss)\b"
)
_DECLINES = re.compile(
    rf"{_UNABLE}{_ACT}"
    r"|\bas\s+an\s+(?:ai|artificial)\b"
    r"|\b(?:insufficient|not\s+enough)\s+(?:information|context)\b"
    r"|\bcan(?:not|'t)\s+be\s+(?:determined|answered|classified)\b"
    r"|\bi\s+(?:must|have\s+to)\s+decline\b"
    r"|无法(?:回答|确定|判断|提供|给出)|不能(?:回答|提供)|不知道|作为(?:一个)?(?:人工智能|AI)|抱歉,?\s*我(?:不能|无法)",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Whether a reply (as `clean.plain` leaves it) says that it will not or cannot answer.

    An apology alone is no refusal. A reply that states an answer all the same is read before this is asked.
    """
    return _DECLINES.search(text) is not None


_END = r"(?=[.!?](?:\s|$)|[;。;\n]|$)"
_ANSWER = r"(?:answer|choice|option|solution)"
_SUBJECT = r"(?:label|sentiment|category|classification|class|topic|prediction|verdict|conclusion)"
_IS = r"(?:\s+(?:is|was|would be|should be|must be|will be|has to be)\b\s*:?|\s*[:=])"
_CONFIDENCE = re.compile(r"[\s,;(\-]*(?:\bconfidence\b|置信度|信心).*", re.IGNORECASE | re.DOTALL)


class Statement(msgspec.Struct, frozen=True):
    """What stands where the answer was announced, and the name of the rule that found it there."""

    rule: str
    text: str
    start: int


def _phrase(subject: str) -> re.Pattern[str]:
    about = r"(?:\s+(?:here|(?:to|for|of|in)\s+(?:the|this|that)\s+\w+))?"
    said = rf"(?P<said>\S[^\n]*?){_END}"
    return re.compile(rf"(?<!wrong )(?<!incorrect )\b{subject}\b{about}{_IS}\s*{said}", re.IGNORECASE)


_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "answer line",
        re.compile(
            r"^[ \t>#\-•]*(?:(?:the|my|your|final|correct|best|right)\s+){0,2}answer"
            r"[ \t]*[:=][ \t]*\n?(?P<said>.+)$",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    ("hashes", re.compile(r"####\s*(?P<said>[^\n]*\d[^\n]*)")),
    ("boxed", re.compile(r"\\boxed\{(?P<said>[^{}]+)\}")),
    ("tag", re.compile(r"<answer>(?P<said>[^<]+)(?:</answer>|$)", re.IGNORECASE)),
    ("json", re.compile(r"[\"']answer[\"']\s*:\s*(?P<said>\"[^\"\n]*\"|'[^'\n]*'|[^,}\n]+)", re.IGNORECASE)),
    ("phrase", _phrase(_ANSWER)),
    (
        "phrase",
        re.compile(
            r"\b(?:i(?:'d|\s+would|'ll|\s+will)?\s+(?:choose|chose|pick|select|go\s+(?:with|for)|answer|guess|say)"
            r"|(?:classified|classify\s+(?:it|this|that|the\s+\w+)|labell?ed|categori[sz]ed)\s+as)\b:?\s*"
            rf"(?P<said>\S[^\n]*?){_END}",
            re.IGNORECASE,
        ),
    ),
    (
        "phrase",
        re.compile(r"答案(?:应该|应当|应|选项)?(?:是|为|选|:)+\s*(?P<said>[^\n。;]+)"),
    ),
    (
        "phrase",
        re.compile(r"(?<![不别勿])(?:(?:应|故|我|应该)?选择?|属于|判断为|分类为)\s*:?\s*(?P<said>[^\n。;]+)"),
    ),
)
"""In order of preference where two begin at the same place."""

_WEAK = ("subject phrase", _phrase(_SUBJECT))


def statements(text: str) -> list[Statement]:
    """Every announcement of an answer in a reply as `clean.plain` leaves it, the most telling last.

    Those that speak of an answer stand in order of place, after those that speak of a sentiment, topic or the
    like. What follows about confidence on the same line is cut off; announcements of nothing are left out.
    """
    strong = [found for rule in reversed(_RULES) for found in _found(text, *rule)]
    return _found(text, *_WEAK) + sorted(strong, key=lambda statement: statement.start)


def _found(text: str, rule: str, pattern: re.Pattern[str]) -> list[Statement]:
    said = ((match, _CONFIDENCE.sub("", match["said"]).strip()) for match in pattern.finditer(text))
    return [Statement(rule, words, match.start("said")) for match, words in said if words]


_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_LETTER = rf"[^\W_{_UNSPACED}]"
_NEVER = r"(?!)"


def pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the folded names as whole words, the longest where several begin together.

    Case, and spaces against hyphens or underscores, make no difference. Between Chinese, Japanese or Korean
    letters every place is a word boundary. Names of one character are left out: they are everywhere.
    """
    return _compiled(tuple(sorted({name for name in names if len(name) > 1}, key=lambda n: (-len(n), n))))


@lru_cache(maxsize=256)
def _compiled(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_whole, names)) or _NEVER, re.IGNORECASE)


def _whole(name: str) -> str:
    body = r"[\s_\-]+".join(re.escape(part) for part in name.split(" "))
    start = rf"(?<!{_LETTER})" if re.match(_LETTER, name[0]) else ""
    end = rf"(?!{_LETTER})" if re.match(_LETTER, name[-1]) else ""
    # "no" before a noun denies the noun and answers nothing.
    return start + body + end + (r"(?!\s+\w)" if name == "no" else "")
