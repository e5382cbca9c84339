"""Finding names in running text, in scripts with and without spaces between words."""

import re
from collections.abc import Iterable
from functools import lru_cache

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
