"""From a task's settings to its rows, split and checked."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path

import msgspec

from ...scenarios.errors import InputError
from ...scenarios.tasks import Kind, SplitFilesSettings, SplitRowsSettings, TaskSettings
from ..randomness import generator
from ._duplicates import near_overlap, refuse_overlap
from ._resolved import Settings, settle
from .answers import AnswerSpace, answer_space
from .answers.formats import AnswerFormat, answer_format
from .answers.several import NONE
from .collect import Placed, collect
from .data import Item, Shape, Values, given, load_reader, read, read_own
from .example import Example, Splits
from .split import Shuffle, check_sizes, halves, parts, split_pool
from .task import Task
from .template import variables

POOL = ""
"""The part of a task that is yet to be split."""

MOST_LABELS = 50
"""More different answers than this are no label set to be found in the data."""

LABELLED: tuple[Kind, ...] = ("classification", "yes_no", "yes_no_maybe")

Counts = Mapping[str, Mapping[str, int]]
"""Rows by gold answer for each split."""

Split = tuple[Splits, list[str]]
"""The splits, and warnings about them."""


class LoadedTask(msgspec.Struct, frozen=True):
    """A task with its rows.

    `dropped` counts rows left out by reason, `counts` rows by gold answer for each split (closed kinds only),
    `warnings` are sentences to show. Ids are unique within the task.
    """

    task: Task
    splits: Splits
    dropped: Mapping[str, int] = {}
    warnings: tuple[str, ...] = ()
    counts: Counts = {}

    def majority(self, split: str = "test") -> tuple[str, float] | None:
        """The commonest gold answer of a split and its share in (0, 1]; None for open kinds."""
        counts = self.counts.get(split)
        if not counts:
            return None
        label = min(counts, key=lambda one: (-counts[one], one))
        return label, counts[label] / sum(counts.values())


def load_task(
    name: str, spec: TaskSettings, *, folder: Path, seed: int, seed_prompt: str, allow_code: bool = False
) -> LoadedTask:
    """Read, map, sample and split a task's data; deterministic in `seed` and `name`.

    With `data`, `limit` rows are drawn from the pool and split as `split` says. With `files`, `limit` is
    per split, and `split` matters only where it is given as counts: each split is then cut to its count.
    Relative paths start at `folder`; `seed_prompt` is the original prompt where neither task nor preset has
    one. With `allow_code` a format and a reader named `module:name` are imported. Raises InputError naming
    file and line, or the key of the scenario.
    """
    settings = settle(name, spec, seed_prompt)
    form = answer_format(spec.format, folder, allow_code=allow_code)
    pool = _Pool(settings, spec, folder, seed, allow_code=allow_code)
    splits, said = pool.split()
    rows = [row for _, part in parts(splits) for row in part]
    task = _task(name, settings, spec, rows, form)
    counts = _label_counts(settings.kind, splits)
    _check_labels(settings, task.answers, splits, counts, spec.few_labels)
    warnings = (*said, *_remarks(task, rows))
    return LoadedTask(task, splits, dict(sorted(pool.dropped.items())), warnings, counts)


def load_rows(
    name: str, spec: TaskSettings, *, folder: Path, seed: int, seed_prompt: str, allow_code: bool = False
) -> LoadedTask:
    """Read and map a task's data without splitting it: every row is in `test`, in the order of the data, and
    the first in `train` besides. Raises InputError as `load_task` does."""
    settings = settle(name, spec, seed_prompt)
    form = answer_format(spec.format, folder, allow_code=allow_code)
    pool = _Pool(settings, spec, folder, seed, allow_code=allow_code)
    rows = pool.rows()
    task = _task(name, settings, spec, rows, form)
    return LoadedTask(
        task, Splits(rows[:1], (), rows), dict(sorted(pool.dropped.items())), tuple(_remarks(task, rows))
    )


def _task(
    name: str, settings: Settings, spec: TaskSettings, rows: Sequence[Example], form: AnswerFormat
) -> Task:
    return Task(
        name,
        settings.description,
        _space(settings, rows),
        settings.prompt,
        format=form,
        framed=spec.frame == "full",
        variables=tuple(field for field, _ in rows[0].fields),
    )


def _remarks(task: Task, rows: Sequence[Example]) -> list[str]:
    said: list[str] = []
    twice = sum(len(set(row.choices)) < len(row.choices) for row in rows)
    if twice:
        said.append(f"rows that offer the same choice twice: {twice}")
    literal = sorted(variables(task.original) - set(task.variables))
    if literal:
        names = ", ".join(f"{{{name}}}" for name in literal)
        said.append(f"the prompt holds {names}, which is no field of the rows and is sent as it is")
    return said


class _Pool:
    """Reads and splits the rows of one task; `dropped` counts what was left out, by reason."""

    def __init__(
        self, settings: Settings, spec: TaskSettings, folder: Path, seed: int, *, allow_code: bool
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self._settings = settings
        self._spec = spec
        self._sources = _sources(spec, folder, settings.shape, allow_code=allow_code)
        self._seed = seed

    def split(self) -> Split:
        """Raises InputError: bad rows, too few of them, or rows in two predefined splits."""
        if POOL not in self._sources:
            return self._predefined()
        rows = [placed.example for placed in self._collect(POOL, self._spec.limit)]
        name, sizes = self._settings.name, self._spec.split
        return split_pool(name, rows, sizes, stratum=self._stratum, shuffle=self._shuffle("split"))

    def rows(self) -> tuple[Example, ...]:
        """Every row of every source. Raises InputError: bad rows, or none."""
        return tuple(
            placed.example for part in self._sources for placed in self._collect(part, self._spec.limit)
        )

    def _predefined(self) -> Split:
        caps = self._caps()
        if "validation" in self._sources:
            train = self._collect("train", caps["train"])
            validation = self._collect("validation", caps["validation"])
        else:
            train, validation = self._halved(caps)
        test = self._collect("test", caps["test"])
        found = {"train": train, "validation": validation, "test": test}
        examples = {part: tuple(placed.example for placed in rows) for part, rows in found.items()}
        splits = check_sizes(self._settings.name, Splits(**examples))
        self._check_counts(examples)
        places = {placed.example.id: placed.place for rows in found.values() for placed in rows}
        refuse_overlap(self._settings.name, list(examples.items()), places)
        return splits, near_overlap(list(examples.items()), places)

    def _halved(self, caps: Mapping[str, int | None]) -> tuple[Sequence[Placed], Sequence[Placed]]:
        """Train and validation out of one source: its halves, or as many rows as each may have."""
        first, second = caps["train"], caps["validation"]
        limit = None if first is None or second is None else first + second
        rows = self._collect("train", limit)
        share = 0.5 if first is None or second is None else first / (first + second)
        by_id = {placed.example.id: placed for placed in rows}
        one, other = halves(
            [placed.example for placed in rows],
            ceil(len(rows) * share - 1e-9),
            stratum=self._stratum,
            shuffle=self._shuffle("halves"),
        )
        return [by_id[row.id] for row in one], [by_id[row.id] for row in other]

    def _collect(self, part: str, limit: int | None) -> list[Placed]:
        source = self._sources[part]
        kept = collect(
            source.items,
            self._settings.recipe(f"{part}-" if part else ""),
            self.dropped,
            limit=limit,
            shuffle=self._spec.shuffle,
            random=self._random("rows", part),
        )
        if not kept:
            place = f" in {source.name}" if source.name else ""
            reasons = ", ".join(f"{count} dropped: {reason}" for reason, count in self.dropped.items())
            why = f" ({reasons})" if reasons else ""
            raise InputError(f"tasks.{self._settings.name}.{source.key}: no rows{place}{why}")
        return kept

    def _counts(self) -> dict[str, int]:
        """Rows per split where predefined splits have counts beside them; InputError for shares."""
        if "split" not in self._spec.model_fields_set:
            return {}
        sizes = dict(self._spec.split)
        if all(size <= 1 for size in sizes.values()):
            raise InputError(
                f"tasks.{self._settings.name}.split: with predefined splits, give counts of rows, not shares"
            )
        return {part: int(size) for part, size in sizes.items()}

    def _caps(self) -> dict[str, int | None]:
        counts, limit = self._counts(), self._spec.limit
        return {
            part: min((cap for cap in (counts.get(part), limit) if cap is not None), default=None)
            for part in ("train", "validation", "test")
        }

    def _check_counts(self, found: Mapping[str, Sequence[Example]]) -> None:
        for part, wanted in self._counts().items():
            least = min(wanted, self._spec.limit or wanted)
            if len(found[part]) < least:
                where = f"tasks.{self._settings.name}.split.{part}"
                raise InputError(f"{where}: {least} rows wanted, but there are {len(found[part])}")

    def _stratum(self, example: Example) -> str:
        return example.gold if self._settings.kind in (*LABELLED, "multiple_choice") else ""

    def _random(self, *purpose: str) -> random.Random:
        return generator(self._seed, "data", self._settings.name, *purpose)

    def _shuffle(self, purpose: str) -> Shuffle:
        return self._random(purpose).shuffle if self._spec.shuffle else lambda _: None


class _Source(msgspec.Struct, frozen=True):
    """Rows to be read once. `key` is the scenario's, `name` what to call them in messages, '' for none."""

    key: str
    name: str
    items: Iterable[Item]


Files = Callable[[str, str | Sequence[str]], _Source]
"""A source of the files that a key of the scenario names."""


def _sources(spec: TaskSettings, folder: Path, shape: Shape, *, allow_code: bool) -> Mapping[str, _Source]:
    """`POOL` alone, or `train`, `test` and perhaps `validation`. Nothing is read yet."""
    if isinstance(spec.rows, SplitRowsSettings):
        return {part: _rows(f"rows.{part}", rows) for part, rows in spec.rows if rows is not None}
    if spec.rows is not None:
        return {POOL: _rows("rows", spec.rows)}
    files = _files(spec.reader, folder, shape, allow_code=allow_code)
    if isinstance(spec.files, SplitFilesSettings):
        return {part: files(f"files.{part}", data) for part, data in spec.files if data is not None}
    assert spec.data is not None, "the schema asks for data, files or rows"
    return {POOL: files("data", spec.data)}


def _rows(key: str, rows: Sequence[Values]) -> _Source:
    return _Source(key, "", given(rows, key))


def _files(reader: str | None, folder: Path, shape: Shape, *, allow_code: bool) -> Files:
    if reader is None:
        return lambda key, data: _Source(key, str(data), read(data, folder, shape))
    rows = load_reader(reader, folder, allow_code=allow_code)
    return lambda key, data: _Source(key, str(data), read_own(reader, rows, data, folder))


def _space(settings: Settings, rows: Sequence[Example]) -> AnswerSpace:
    """The answer space of a task, with the labels given, or else those of the rows.

    Raises InputError where labels or synonyms do not fit the kind or cannot be distinguished.
    """
    labels = _labels(settings, rows)
    try:
        return answer_space(settings.kind, labels, settings.synonyms, credit=settings.credit)
    except InputError as error:
        raise InputError(f"tasks.{settings.name}.{error}") from None


def _label_counts(kind: Kind, splits: Splits) -> Counts:
    """Counts of each gold answer in each split; empty for open kinds."""
    if kind not in (*LABELLED, "multiple_choice"):
        return {}
    return {part: dict(sorted(Counter(row.gold for row in rows).items())) for part, rows in parts(splits)}


def _check_labels(settings: Settings, space: AnswerSpace, splits: Splits, counts: Counts, least: int) -> None:
    """Raise InputError where a split holds fewer than `least` rows of a label.

    Letters of multiple choice are positions, not labels, and are not checked.
    """
    if settings.kind not in LABELLED:
        return
    for label in space.allowed(splits.train[0].asked()):
        held = {part: found.get(label, 0) for part, found in counts.items()}
        if min(held.values()) < least:
            shown = ", ".join(f"{count} {part}" for part, count in held.items())
            raise InputError(
                f"tasks.{settings.name}: too few rows of label {label!r} ({shown}; few_labels asks for "
                f"{least} in each split); take more rows, or set few_labels: 0"
            )


def _labels(settings: Settings, rows: Sequence[Example]) -> tuple[str, ...]:
    if settings.kind == "extraction":
        return tuple(msgspec.json.decode(rows[0].gold, type=dict[str, str]))
    if settings.kind not in ("classification", "labels"):
        return ()
    if isinstance(settings.labels, Mapping):
        return tuple(dict.fromkeys(settings.labels.values()))
    if settings.labels is not None:
        return tuple(settings.labels)
    found = sorted({label for row in rows for label in _gold_labels(settings.kind, row)})
    if not 2 <= len(found) <= MOST_LABELS:
        raise InputError(
            f"tasks.{settings.name}: the data holds {len(found)} different answers (e.g. {found[0][:40]!r}), "
            f"no set of 2 to {MOST_LABELS} labels; give `labels`, or another `kind`"
        )
    return tuple(found)


def _gold_labels(kind: Kind, row: Example) -> Sequence[str]:
    if kind != "labels":
        return [row.gold]
    return [] if row.gold == NONE else row.gold.split(", ")
