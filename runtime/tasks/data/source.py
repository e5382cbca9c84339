"""From what a scenario calls its data to rows."""

import glob
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from ...errors import InputError
from .delimited import read_delimited
from .hub import SCHEME, is_saved, read_hub, read_saved
from .json_file import read_json
from .jsonl import read_jsonl
from .parquet import read_parquet
from .plain import read_plain
from .row import Item, Shape

EXTENSIONS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt")


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
    path = folder / Path(source).expanduser()
    if path.exists():
        return [path]
    if not glob.has_magic(source):
        raise InputError(f"{path}: no such data file{_nearest(path)}")
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    files = [match for match in matches if match.is_file()]
    if not files:
        raise InputError(f"{path}: no file matches this pattern")
    return files


def _read_path(path: Path, shape: Shape) -> Iterator[Item]:
    if path.is_dir():
        if is_saved(path):
            return read_saved(path)
        raise InputError(f"{path}: a folder; give its files as a pattern, e.g. {path}/*.jsonl")
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            return read_jsonl(path)
        case ".json":
            return read_json(path)
        case ".csv":
            return read_delimited(path, ",", shape)
        case ".tsv":
            return read_delimited(path, "\t", shape)
        case ".parquet":
            return read_parquet(path)
        case ".txt":
            return read_plain(path, shape)
        case other:
            known = ", ".join(EXTENSIONS)
            raise InputError(f"{path}: unknown extension {other!r}; known are {known}, and hf:// addresses")


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent})"
    close = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
