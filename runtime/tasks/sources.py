"""Where a task's rows are: one pool, or a source for each split; in files, on a hub, or in the scenario."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from ...scenarios.tasks import SplitFiles, SplitRows
from ...scenarios.tasks import Task as TaskSettings
from .data import Item, Shape, Values, given, read

POOL = ""
"""The part of a task that is yet to be split."""


class Source(msgspec.Struct, frozen=True):
    """Rows to be read once. `key` is the scenario's, `name` what to call them in messages, '' for none."""

    key: str
    name: str
    items: Iterable[Item]


def sources(spec: TaskSettings, folder: Path, shape: Shape) -> Mapping[str, Source]:
    """`POOL` alone, or `train`, `test` and perhaps `validation`. Nothing is read yet."""
    if isinstance(spec.rows, SplitRows):
        return {part: _rows(f"rows.{part}", rows) for part, rows in spec.rows if rows is not None}
    if spec.rows is not None:
        return {POOL: _rows("rows", spec.rows)}
    if isinstance(spec.files, SplitFiles):
        return {
            part: _files(f"files.{part}", data, folder, shape)
            for part, data in spec.files
            if data is not None
        }
    assert spec.data is not None, "the schema asks for data, files or rows"
    return {POOL: _files("data", spec.data, folder, shape)}


def _rows(key: str, rows: Sequence[Values]) -> Source:
    return Source(key, "", given(rows, key))


def _files(key: str, data: str | Sequence[str], folder: Path, shape: Shape) -> Source:
    return Source(key, str(data), read(data, folder, shape))
