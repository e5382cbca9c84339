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


@st.composite
def responses(draw: st.DrawFn, *, least: int = 1, most: int = 40) -> list[Graded]:
    """Closed-space responses with coarse and fine confidences, ties and unread answers among them."""
    coarse = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.9, 1.0])
    confidence = st.one_of(coarse, st.floats(0, 1, allow_subnormal=False))
    found: list[Graded] = []
    for row in range(draw(st.integers(least, most))):
        gold, answer = draw(st.sampled_from(LABELS)), draw(st.sampled_from((*LABELS, None)))
        found.append(
            graded(
                f"{row:03d}",
                gold=gold,
                answer=answer,
                right=answer == gold,
                confidence=draw(confidence),
                followed=draw(st.booleans()),
                read=answer is not None,
                tokens=draw(st.integers(0, 100)),
                seconds=draw(st.floats(0, 10)),
            )
        )
    return found


def unanswered(rows: list[Graded]) -> bool:
    """True where no response holds an answer, and so the metrics of confidence are undefined."""
    return all(row.answer is None for row in rows)
