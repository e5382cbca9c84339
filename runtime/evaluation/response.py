"""What came back for a row: a reply, or a failure of the world; and a reply once it is graded."""

from collections.abc import Iterable

import msgspec

from ..llm.protocol import TokenChoice

# `gc=False` as in `llm.protocol`: one for every call, and never a cycle.


class Reply(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="reply"):
    """A target's response to one row.

    `tokens` carries log-probabilities where they were asked for and given. `samples` holds the further
    draws where confidence comes from agreement (`text` is the first). `too_long` marks a prompt that did
    not fit the model's context: there is no text, and it is graded wrong. `seconds` is the call's wall time.
    """

    example: str
    text: str
    tokens: tuple[TokenChoice, ...] = ()
    samples: tuple[str, ...] = ()
    finish_reason: str | None = None
    too_long: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Failed(msgspec.Struct, frozen=True, gc=False, tag="failed"):
    """The world failed this row's call: no response, no grade; `reason` says how."""

    example: str
    reason: str


class Graded(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="graded"):
    """A reply held against the gold answer.

    `answer` is canonical, None where none could be read. `credit` is in [0, 1] (0 or 1 for closed answer
    spaces) and `correct` is credit >= 0.5. `confidence` is in [0, 1], 0 where no answer could be read,
    None only where the task asks for none. `followed` says whether the strict format gave answer and
    confidence (IFR counts it). `rule` names what read the answer: `strict`, `likelihood`, a lenient rule,
    or `none`.
    """

    example: str
    gold: str
    answer: str | None
    correct: bool
    credit: float
    confidence: float | None
    followed: bool
    rule: str
    text: str
    completion_tokens: int = 0
    seconds: float = 0.0


Response = Graded | Failed


def worst(responses: Iterable[Response], count: int) -> tuple[Response, ...]:
    """`count` responses: failures first, then wrong answers by falling confidence, then broken formats."""
    return tuple(sorted(responses, key=_badness)[:count])


def _badness(response: Response) -> tuple[int, float, str]:
    if isinstance(response, Failed):
        return (0, 0.0, response.example)
    sure = response.confidence or 0.0
    rank = 1 if not response.correct else 2 if not response.followed else 3
    return (rank, -sure if rank < 3 else sure, response.example)
