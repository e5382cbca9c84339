"""Pieces of replies: those that readers look for, and those that repeat badly."""

import json

from hypothesis import strategies as st

SIGNS = " \n\t_*`~#>-=.,:;!?'\"()[]{}<>\\/|$%&@^aA10是。\u200b\u2028\u00b9½ﷺ◁"
# fmt: off
WORDS = [
    "\n ", " \n", "\r\n", "_a", "a_", "* ", "*\n", "_-", ",;", ".,", "a b ", "not ", "is not ",
    "the the ", "neg pos ", "answer is ", "answer: ", "Answer:\n", "answer:'", "Answer: x\n",
    "label is ", "the answer to the x ", "answer :", "G1: a\n", "G1: a\nP1: ", "G1: a\n\n",
    "\nP1:", "<think>", "</think>", "[THINK]", "◁think▷", "analysisA",
    "<|channel|>analysis<|message|>", "<|channel|>", "Here is my response:", "<answer>",
    "<answer>a", "\\boxed{", "\\text{", "\\boxed{\\text{", "\\frac{1}{2}", "\\frac{", "#### ",
    "#### 1\n", "\"answer\":", "{\"answer\":", "{\"a\":", "}{", "{[", "1,", "1,000", "1.000.",
    "1 000 ", "1 2/3 ", "1/", "1e", "-1", "- 1", "1.", "1 ", "10^", "1 × 10^5 ", "1.5 million ",
    "2024-05-01 ", "12:30 ", "May 5, ", "5 of may ", "3 or ", "so, ", "So a.\n", "therefore ",
    "because ", " - ", " -", "\nconfidence:", "confidence 5 ", "Confidence: 50%\n",
    "confidence very ", "50%", "confidence (0-", "50 out of ", "I would choose ", "i cannot ",
    "as an ai ", "(A) ", "A. ", "A) ", "option A ", "A or B ", "question:\n", "\n\nquestion ",
    "> * # ", "选择", "答案是", "不", "属于a", "á", "```a\n", "classify the x as ",
    "<prompt>", "</prompt>", "<prompt>a", "<notes>", "</notes>", "- a\n",
]
# fmt: on
NAMES = [
    "neg",
    "pos",
    "yes",
    "no",
    "maybe",
    "A",
    "B",
    "d",
    "a dog",
    "the cat",
    "none",
    "42",
    "3/4",
    "-1,000.5",
    "80%",
    "Answer: pos",
    "Answer: B",
    "Answer: 42",
    "Confidence: 80%",
    "G1: pos\nP1: 70%\nG2: neg\nP2: 30%",
    '{"answer": "pos", "confidence": "80%"}',
    '{"answer": 42, "confidence": 0.9}',
    '{"quality": 4}',
    f'{{"answer": {"[" * 400}{"]" * 400}}}',
    '"relevance": "3/5",',
    "\\ud800",
    "9" * 400,
    "1e999",
    "NaN",
    "null",
    "[[",
    "]]",
    "}",
    "²",
    "٣",
]  # fmt: skip


_VALUES: list[object] = [
    None, True, 4, -1, 0.9, 105, 10**400, float("inf"), "pos", "B", "42", "80%", "4/5", "\ud800", "²", "",
    ["a", 1], {"a": 1}, {"score": 4}, {"\ud800": [None]},
]  # fmt: skip
OBJECTS = [
    json.dumps(fields)
    for value in _VALUES
    for fields in ({"answer": value, "a": 1}, {"relevance": value}, {"answer": "pos", "confidence": value})
]
"""JSON objects as models are asked for, and with values that nobody asked for."""

_PIECES = [*NAMES, *WORDS, *SIGNS, *OBJECTS]
_CHARACTERS = [*map(chr, range(0x800)), *map(chr, range(0x2000, 0x2070)), *"\ufeff\ufffd\uff11Ａ｛🙂𝟘是"]
_TIMES = (1, 1, 1, 1, 1, 1, 2, 5)


def _reply(code: bytes) -> str:
    """The text of a code: two bytes are a piece, one time in four a character, and how often it repeats."""
    parts = list[str]()
    for first, second in zip(code[::2], code[1::2], strict=False):
        choice, times = divmod(first << 8 | second, len(_TIMES))
        table = _PIECES if choice < 6144 else _CHARACTERS
        parts.append(table[choice % len(table)] * _TIMES[times])
    return "".join(parts)


def replies() -> st.SearchStrategy[str]:
    """Replies of a few pieces, some of them several times, some of any characters but surrogates.

    Drawn as bytes, which costs a tenth of drawing piece by piece.
    """
    return st.binary(max_size=24).map(_reply)
