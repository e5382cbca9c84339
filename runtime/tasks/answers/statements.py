"""Refusals, and places where a reply announces its answer.

Texts are as `cleaning.plain` leaves them.
"""

import re

import msgspec

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
    """True when a reply (as `cleaning.plain` leaves it) refuses to answer.

    An apology alone is no refusal. A reply that states an answer all the same is read before this is asked.
    """
    return _DECLINES.search(text) is not None


_END = r"(?=[.!](?:\s|$)|[。\n]|$)"
_ANSWER = r"(?:answer|choice|option|solution)"
_SUBJECT = (
    r"(?:labels?|sentiment|categor(?:y|ies)|classification|class(?:es)?|topics?|tags?|prediction|verdict"
    r"|conclusion)"
)
_IS = r"(?:\s+(?:is|are|was|were|would be|should be|must be|will be|has to be)\b\s*:?|\s*[:=])"
_CONFIDENCE = re.compile(r"[\s,;(\-]{0,8}(?:\bconfidence\b|置信度|信心).*", re.IGNORECASE | re.DOTALL)


_MOST = 50
"""Announcements that are looked at, from the end of the reply."""


class Statement(msgspec.Struct, frozen=True):
    """The text of an announced answer, and the name of the rule that found it."""

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
            r"^[ >#\-•]{0,12}(?:(?:the|my|your|final|correct|best|right)\s+){0,2}answer"
            r" ?[:=] ?\n{0,2}(?P<said>.+)$",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
    ("hashes", re.compile(r"####\s?(?P<said>[^\n\d]{0,60}\d[^\n]{0,200})")),
    ("boxed", re.compile(r"\\boxed\{(?P<said>(?:[^{}]|\{[^{}]{0,200}\}){1,400})\}")),
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
    """Every announcement of an answer in a reply as `cleaning.plain` leaves it, the most reliable last.

    Those that name an answer are in order of place, after those that name a sentiment, topic or the
    like. What follows about confidence on the same line is cut off; announcements of nothing are left out.
    """
    strong = [found for rule in reversed(_RULES) for found in _found(text, *rule)]
    return (_found(text, *_WEAK) + sorted(strong, key=lambda statement: statement.start))[-_MOST:]


def _found(text: str, rule: str, pattern: re.Pattern[str]) -> list[Statement]:
    said = ((match, _CONFIDENCE.sub("", match["said"]).strip()) for match in pattern.finditer(text))
    return [Statement(rule, words, match.start("said")) for match, words in said if words]
