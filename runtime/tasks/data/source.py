"""From the data that a scenario names to rows: files, globs, Hugging Face data sets."""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from ....scenarios.errors import InputError, nearest
from .json_files import read_json, read_jsonl
from .rows import ClassIndex, Item, Row, Shape, Values
from .tables import read_delimited, read_excel, read_parquet
from .text import read_plain

SCHEME = "hf://"
_OPTIONS = ("config", "split", "revision")
_MARKS = ("state.json", "dataset_dict.json")
_MOST_FOLDERS = 10_000  # that ** walks through; the root of a system has many more


def is_saved(folder: Path) -> bool:
    """True when a folder was written by `save_to_disk`."""
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
    except Exception as error:  # noqa: BLE001 - the library, and the code of a set, raise anything
        raise InputError(f"{address}: cannot be loaded: {_cause(error)}") from None
    return _rows(data, address, f"{address.partition('?')[0]}?split=NAME")


def read_saved(folder: Path) -> Iterator[Item]:
    """The rows of a folder written by `save_to_disk`. Raises InputError as `read_hub` does."""
    datasets = _datasets(str(folder))
    try:
        data = datasets.load_from_disk(str(folder))
    except Exception as error:  # noqa: BLE001 - as in `read_hub`
        raise InputError(f"{folder}: cannot be loaded: {_cause(error)}") from None
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
    return _read_rows(data, what)


def _read_rows(data: object, what: str) -> Iterator[Item]:
    features = cast("Mapping[str, object]", getattr(data, "features", None) or {})
    classes = {name: names for name, feature in features.items() if (names := _class_names(feature))}
    rows = enumerate(cast("Iterable[Values]", data), start=1)
    while True:
        try:
            number, values = next(rows, (0, {}))
        except Exception as error:  # noqa: BLE001 - decoding a row runs the library's code
            raise InputError(f"{what}: a row cannot be read: {_cause(error)}") from None
        if not number:
            return
        named = {name: _named(values[name], names) for name, names in classes.items() if name in values}
        yield Row({**values, **named}, f"{what}, row {number}")


def _class_names(feature: object) -> Sequence[str]:
    """The names of a feature that is a class label, or a list of them; () for any other."""
    return getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None) or ()


def _named(value: object, names: Sequence[str]) -> object:
    """Indices of classes with their names; -1, which marks an unlabelled row, stays as it is."""
    if isinstance(value, list):
        return [_named(one, names) for one in cast("list[object]", value)]
    return ClassIndex(value, names[value]) if isinstance(value, int) and 0 <= value < len(names) else value


def _cause(error: BaseException) -> str:
    """The error that an error came from, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300] or type(error).__name__


EXTENSIONS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".xlsx", ".parquet")
"""All but the last two also with `.gz` behind them."""


def read(data: str | Sequence[str], folder: Path, shape: Shape | None = None) -> Iterator[Item]:
    """The rows of all sources in order, one at a time.

    A source is a path or glob below `folder`, a folder written by `save_to_disk`, or an `hf://` address.
    Raises InputError where a source does not exist or cannot be read; single bad rows are yielded as `Bad`.
    """
    for source in expand(data, folder):
        if isinstance(source, str):
            yield from read_hub(source)
        else:
            yield from _read_path(source, shape or Shape())


def expand(data: str | Sequence[str], folder: Path) -> list[Path | str]:
    """The files (in order of name where a glob found them), folders and `hf://` addresses meant."""
    found: list[Path | str] = []
    for source in [data] if isinstance(data, str) else data:
        if source.startswith(SCHEME):
            found.append(source)
        else:
            found += _paths(source, folder)
    return found


def _paths(source: str, folder: Path) -> list[Path]:
    try:
        path = folder / Path(source).expanduser()
        if path.is_file() or path.is_dir():
            return [path]
        if path.exists():
            raise InputError(f"{path}: neither a regular file nor a folder; name a file with the data")
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such ~user, a NUL
        shown = source if len(source) <= 100 else f"{source[:100]}…"
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{shown!r} cannot be the path of a data file: {problem}") from None
    if not glob.has_magic(source):
        raise InputError(f"{path}: no such data file{_nearest(path)}")
    _check_breadth(path)
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    files = [match for match in matches if match.is_file()]
    if not files:
        raise InputError(f"{path}: no file matches this pattern")
    return files


def _check_breadth(pattern: Path) -> None:
    """InputError where the `**` of a pattern reaches too many folders to walk through."""
    head, stars, _ = str(pattern).partition("**")
    folders = glob.iglob(f"{head}**{os.sep}", recursive=True) if stars else iter(())
    if next(islice(folders, _MOST_FOLDERS, None), None) is not None:
        raise InputError(f"{pattern}: ** stands for more than {_MOST_FOLDERS:,} folders; narrow the pattern")


def _read_path(path: Path, shape: Shape) -> Iterator[Item]:
    if path.is_dir():
        if is_saved(path):
            return read_saved(path)
        raise InputError(f"{path}: a folder; give its files as a pattern, e.g. {path}/*.jsonl")
    zipped = path.suffix.lower() == ".gz"
    match (path.with_suffix("") if zipped else path).suffix.lower():
        case ".jsonl" | ".ndjson":
            return read_jsonl(path)
        case ".json":
            return read_json(path)
        case ".csv":
            return read_delimited(path, None, shape)
        case ".tsv":
            return read_delimited(path, "\t", shape)
        case ".txt":
            return read_plain(path, shape)
        case ".xlsx" if not zipped:
            return read_excel(path)
        case ".parquet" if not zipped:
            return read_parquet(path)
        case other:
            known = ", ".join(EXTENSIONS)
            raise InputError(f"{path}: unknown extension {other!r}; known are {known}, and hf:// addresses")


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent})"
    beside = (entry.name for entry in path.parent.iterdir())
    return f"; {nearest(path.name, beside, all_are='the folder holds')}"
