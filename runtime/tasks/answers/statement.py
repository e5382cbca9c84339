"""Where a reply says outright what its answer is."""

import re

import msgspec

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
