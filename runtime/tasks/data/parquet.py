"""Parquet files, through pyarrow."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from ...errors import InputError
from .row import Item, Row

_BATCH = 1024


def read_parquet(path: Path) -> Iterator[Item]:
    """The rows of a Parquet file, read in batches. InputError where pyarrow is missing or the file broken."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(
            f"{path}: reading Parquet needs pyarrow: pip install 'transfer-prompting[parquet]'"
        ) from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values, f"{path}, row {number}")
    except (OSError, arrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}") from None
