"""Readers of a user's own, for data that no reader of the package knows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from ....scenarios.errors import InputError
from ....scenarios.plugins import guarded, load
from .rows import Bad, Item, Row
from .source import expand


class DataReader(Protocol):
    """A reader of one's own: a function from one source of the scenario's `data` to its rows, in order.

    A source is the path of a file or folder (a pattern gives one call for each file), or an address as it is
    written (`postgres://…`). Rows are mappings from field names to values; they are asked for one at a time,
    in a thread. What the reader raises ends the run as InputError.
    """

    def __call__(self, source: Path | str, /) -> Iterable[Mapping[str, object]]: ...


def load_reader(name: str, folder: Path, *, allow_code: bool) -> DataReader:
    """The reader that `package.module:name` or an entry point stands for. Raises InputError."""
    found = load("reader", name, folder, allow_code=allow_code)
    if not callable(found):
        raise InputError(f"reader {name}: expected a function, not {found!r}")
    return cast("DataReader", found)


def read_own(name: str, reader: DataReader, data: str | Sequence[str], folder: Path) -> Iterator[Item]:
    """The rows of all sources in order, one at a time; a row that is no mapping is yielded as `Bad`.

    Raises InputError where a file does not exist, and for what the reader raises.
    """
    for source in [data] if isinstance(data, str) else data:
        for one in [source] if "://" in source else expand(source, folder):
            yield from _rows(name, reader, one)


def _rows(name: str, reader: DataReader, source: Path | str) -> Iterator[Item]:
    with guarded("reader", name, passing=(InputError, GeneratorExit)):
        for number, values in enumerate(cast("Iterable[object]", reader(source)), start=1):
            place = f"{source}, row {number}"
            if isinstance(values, Mapping):
                yield Row(
                    {str(key): value for key, value in cast("Mapping[object, object]", values).items()}, place
                )
            else:
                yield Bad(place, f"expected a mapping with named fields, got {str(values)[:60]!r}")
