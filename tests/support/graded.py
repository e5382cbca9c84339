"""Graded responses made by hand, at random from a seed, and by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from transfer_prompting.runtime.evaluation.outcomes import Flaw, Graded

LABELS = ("A", "B", "C")


def graded(
    example: str,
    *,
    right: bool = True,
    confidence: float | None = 0.5,
    gold: str = "A",
    answer: str | None = None,
    credit: float | None = None,
    followed: bool = True,
    read: bool = True,
    tokens: int = 5,
    seconds: float = 0.5,
    flaw: Flaw | None = None,
) -> Graded:
    """A response; one that is not `read` is graded as the product grades what it cannot parse."""
    if not read:
        right, confidence, followed = False, None if confidence is None else 0.0, False
    other = next(label for label in LABELS if label != gold)
    return Graded(
        example=example,
        gold=gold,
        answer=(answer or (gold if right else other)) if read else None,
        correct=right,
        credit=float(right) if credit is None else credit,
        confidence=confidence,
        followed=followed,
        rule="strict" if followed else "none",
        text="",
        completion_tokens=tokens,
        seconds=seconds,
        flaw=flaw,
    )


def drawn(rows: int, seed: int, *, skill: float = 0.6, digits: int = 2, salt: int = 0) -> list[Graded]:
    """Responses of a prompt of this skill whose confidences tell something; examples are `0000`, `0001`, …

    Two seeds give independent prompts on the same examples with the same gold answers.
    """
    golds = np.random.default_rng(salt).integers(0, len(LABELS), rows)
    rng = np.random.default_rng(seed)
    found: list[Graded] = []
    for row in range(rows):
        right = bool(rng.random() < skill)
        sure = float(np.clip(rng.normal(0.7 if right else 0.5, 0.2), 0, 1))
        found.append(
            graded(
                f"{row:04d}",
                right=right,
                confidence=round(sure, digits),
                gold=LABELS[golds[row]],
                read=bool(rng.random() > 0.05),
                tokens=int(rng.integers(1, 30)),
                seconds=float(rng.random()),
            )
        )
    return found


_SURE = [0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.9, 1.0]
_CONFIDENCES = [
    *_SURE,
    *_SURE,
    *np.nextafter(_SURE[1:], 0).tolist(),
    *np.nextafter(_SURE[1:-1], 1).tolist(),
    1e-300,
]
_CODE = 6
"""Bytes that stand for a response."""


def responses(*, least: int = 1, most: int = 40) -> st.SearchStrategy[list[Graded]]:
    """Closed-space responses with coarse and fine confidences, ties and unread answers among them.

    Drawn as bytes, which costs a tenth of drawing value by value.
    """
    sizes = st.integers(least, most).map(lambda rows: rows * _CODE)
    return sizes.flatmap(lambda size: st.binary(min_size=size, max_size=size)).map(_responses)


def _responses(code: bytes) -> list[Graded]:
    rows = zip(*[iter(code)] * _CODE, strict=False)
    return [_response(f"{row:03d}", *values) for row, values in enumerate(rows)]


def _response(example: str, labels: int, kind: int, low: int, high: int, tokens: int, tenths: int) -> Graded:
    choice, followed = divmod(labels, 2)
    gold, answer = LABELS[choice % 3], (*LABELS, None)[choice // 3 % 4]
    coarse = kind < 192
    return graded(
        example,
        gold=gold,
        answer=answer,
        right=answer == gold,
        confidence=_CONFIDENCES[kind % len(_CONFIDENCES)] if coarse else (low << 8 | high) / 65535,
        followed=bool(followed),
        read=answer is not None,
        tokens=tokens,
        seconds=tenths / 10,
    )


def unanswered(rows: list[Graded]) -> bool:
    """True where no response holds an answer, and so the metrics of confidence are undefined."""
    return all(row.answer is None for row in rows)
