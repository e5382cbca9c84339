"""Hugging Face data sets, through the `datasets` library."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from ...errors import InputError
from .row import Item, Row, Values

SCHEME = "hf://"
_OPTIONS = ("config", "split", "revision")
_MARKS = ("state.json", "dataset_dict.json")


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return any((folder / mark).is_file() for mark in _MARKS)


def read_hub(address: str) -> Iterator[Item]:
    """The rows of `hf://org/name?config=…&split=…&revision=…`.

    The set is downloaded once into the library's own cache and read from there, memory-mapped. Raises
    InputError where the library is missing, the address is wrong, or the set cannot be had.
    """
    name, options = parsed(address)
    datasets = _datasets(address)
    try:
        data = datasets.load_dataset(
            name, options.get("config"), split=options.get("split"), revision=options.get("revision")
        )
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        raise InputError(f"{address}: cannot be loaded: {error}") from None
    return _rows(data, address, f"{address.partition('?')[0]}?split=NAME")


def read_saved(folder: Path) -> Iterator[Item]:
    """The rows of a folder written by `save_to_disk`. Raises InputError as `read_hub` does."""
    datasets = _datasets(str(folder))
    try:
        data = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        raise InputError(f"{folder}: cannot be loaded: {error}") from None
    return _rows(data, str(folder), f"{folder}/NAME")


def parsed(address: str) -> tuple[str, dict[str, str]]:
    """Name and options of an address; InputError where it is malformed."""
    parts = urlsplit(address)
    name = (parts.netloc + parts.path).strip("/")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not name or name.count("/") > 1:
        raise InputError(f"{address}: expected hf://org/name?config=…&split=…")
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise InputError(f"{address}: unknown option {', '.join(unknown)}; known are {', '.join(_OPTIONS)}")
    return name, options


def _datasets(what: str) -> ModuleType:
    try:
        return import_module("datasets")
    except ImportError:
        raise InputError(
            f"{what}: needs the datasets library: pip install 'transfer-prompting[hf]'"
        ) from None


def _rows(data: object, what: str, named: str) -> Iterator[Item]:
    if isinstance(data, Mapping):
        splits = cast("Mapping[str, object]", data)
        if len(splits) != 1:
            raise InputError(f"{what}: holds the splits {', '.join(splits)}; name one: {named}")
        data = next(iter(splits.values()))
    return (
        Row(values, f"{what}, row {number}")
        for number, values in enumerate(cast("Iterable[Values]", data), start=1)
    )
