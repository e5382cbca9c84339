"""Taking the wrapping off a reply: reasoning blocks, markdown, full-width forms, quotes."""

import re
import unicodedata

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
