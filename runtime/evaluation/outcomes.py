"""Responses to rows, their grades, and graded rows in the compact form that metrics read.

Messages hold these structs, so importing them must not import numpy: only the methods that compute do.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from ..llm.chat import TokenChoice

if TYPE_CHECKING:
    from ._columns import Table

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


Flaw = Literal["filtered", "refused", "cut off", "empty", "no log-probabilities"]
"""Lack of a reply: a content filter held it back, the model declined to answer, the limit on tokens ended it
before an answer, there is no text, or there are no log-probabilities though they were asked for."""

FLAWS: dict[Flaw, str] = {
    "filtered": "were blocked by the endpoint's content filter and count as wrong",
    "refused": "were refusals of the model without an answer and count as wrong",
    "cut off": "were cut off by the limit on tokens before an answer and count as wrong; raise max_tokens (a "
    "model that reasons needs far more than its answer takes)",
    "empty": "were empty and count as wrong",
    "no log-probabilities": "came without the log-probabilities that were asked for; metrics of confidence "
    "are undefined",
}
"""Flaws as the end of a sentence about replies."""

FLAWED = 0.02
"""Share of replies with one flaw above which it is reported, and metrics that need what is lacking are
undefined."""


class Failed(msgspec.Struct, frozen=True, gc=False, tag="failed"):
    """A row whose call failed: no response, no grade; `reason` is the cause."""

    example: str
    reason: str


class Graded(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="graded"):
    """A reply held against the gold answer.

    `answer` is canonical, None where none could be read. `credit` is in [0, 1] (0 or 1 for closed answer
    spaces) and `correct` is credit >= 0.5. `confidence` is in [0, 1], 0 where no answer could be read,
    None only where the task asks for none. `followed` is true where the strict format gave answer and
    confidence (IFR counts it). `rule` names what read the answer: `strict`, `likelihood`, a lenient rule,
    or `none`. `flaw` says what the reply lacks through no fault of the prompt, if anything. `own` are the
    values in [0, 1] of the metrics of one's own that the objective weighs, for this response alone, and
    `remark` their words.
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
    flaw: Flaw | None = None
    own: dict[str, float] = {}
    remark: str = ""


Response = Graded | Failed


def flaws(responses: Iterable[Response]) -> dict[Flaw, int]:
    """The number of graded replies with each flaw: the most frequent first, equal ones by name, so that no
    order of answers shows."""
    found: Counter[Flaw] = Counter()
    found.update(one.flaw for one in responses if isinstance(one, Graded) and one.flaw is not None)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def worst(responses: Iterable[Response], count: int) -> tuple[Response, ...]:
    """`count` responses: failures first, then wrong answers by falling confidence, then broken formats."""
    return tuple(sorted(responses, key=_badness)[:count])


def _badness(response: Response) -> tuple[int, float, str]:
    if isinstance(response, Failed):
        return (0, 0.0, response.example)
    sure = response.confidence or 0.0
    rank = 1 if not response.correct else 2 if not response.followed else 3
    return (rank, -sure if rank < 3 else sure, response.example)


_UNREAD = -1
"""As `_columns.UNREAD`."""


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """Graded rows in ascending order of example id, and the ids of the rows whose calls failed.

    A plain value: it encodes to MessagePack, and equal responses give equal outcomes in any order of
    arrival. `rows` packs one record a row (`_columns.ROW`); `table()` is a view of them that costs no copy.
    `closed` is False where the answer space is open; such outcomes carry no labels, and metrics by class are
    undefined.
    """

    ids: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    rows: bytes = b""
    closed: bool = True

    @classmethod
    def of(cls, responses: Iterable[Graded | Failed], *, closed: bool = True) -> "Outcomes":
        """The outcomes of the responses to distinct examples.

        Raises ValueError when an example has two responses.
        """
        ordered = sorted(responses, key=lambda response: response.example)
        graded = [response for response in ordered if isinstance(response, Graded)]
        failed = tuple(response.example for response in ordered if isinstance(response, Failed))
        labels = _labels(graded) if closed else ()
        codes = {label: code for code, label in enumerate(labels)}
        ids = tuple(response.example for response in graded)
        _refuse_twins(ids + failed)
        from ._columns import pack

        rows = pack(_record(response, codes) for response in graded)
        return cls(ids=ids, failed=failed, labels=labels, rows=rows, closed=closed)

    def table(self) -> "Table":
        """The graded rows as a read-only structured array of `_columns.ROW`, in the order of `ids`."""
        from ._columns import unpack

        return unpack(self.rows)

    def merge(self, other: "Outcomes") -> "Outcomes":
        """Both together; ValueError when an example is in both, or when only one of them is closed."""
        if not (other.ids or other.failed):
            return self
        if not (self.ids or self.failed):
            return other
        if self.closed != other.closed:
            raise ValueError("outcomes of a closed and of an open answer space cannot be merged")
        ids = self.ids + other.ids
        failed = self.failed + other.failed
        _refuse_twins(ids + failed)
        from ._columns import join

        labels, tables = aligned(self, other)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        return Outcomes(
            ids=tuple(ids[i] for i in order),
            failed=tuple(sorted(failed)),
            labels=labels,
            rows=join(tables, order),
            closed=self.closed,
        )

    def select(self, ids: Collection[str]) -> "Outcomes":
        """Only the rows, graded or failed, whose example is in `ids`; ids not known here are no error."""
        from ._columns import recode, used

        wanted = frozenset(ids)
        kept = [i for i, id in enumerate(self.ids) if id in wanted]
        table = self.table()[kept]
        labels = tuple(self.labels[code] for code in used(table))
        return Outcomes(
            ids=tuple(self.ids[i] for i in kept),
            failed=tuple(id for id in self.failed if id in wanted),
            labels=labels,
            rows=recode(table, self.labels, labels).tobytes(),
            closed=self.closed,
        )


def aligned(*parts: Outcomes) -> "tuple[tuple[str, ...], list[Table]]":
    """The labels of all parts, ascending, and each part's table with its codes indexing these labels."""
    from ._columns import recode

    labels = tuple(sorted({label for part in parts for label in part.labels}))
    return labels, [recode(part.table(), part.labels, labels) for part in parts]


def _labels(graded: Sequence[Graded]) -> tuple[str, ...]:
    answers = {response.answer for response in graded if response.answer is not None}
    return tuple(sorted(answers | {response.gold for response in graded}))


def _record(response: Graded, codes: dict[str, int]) -> tuple[float | int | bool, ...]:
    confidence = response.confidence
    answer = response.answer
    return (
        response.credit,
        math.nan if confidence is None else confidence,
        response.seconds,
        response.completion_tokens,
        codes.get(response.gold, _UNREAD),
        _UNREAD if answer is None else codes.get(answer, _UNREAD),
        response.correct,
        response.followed,
        response.flaw == "no log-probabilities",
    )


def _refuse_twins(ids: Sequence[str]) -> None:
    if len(set(ids)) < len(ids):
        twins = sorted(id for id, count in Counter(ids).items() if count > 1)
        raise ValueError(f"more than one response to example {', '.join(twins[:3])}")
