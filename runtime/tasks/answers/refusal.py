"""Recognising a reply that declines to answer."""

import re

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
