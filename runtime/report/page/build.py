"""From an output folder to its report.html."""

from pathlib import Path
from typing import cast

import msgspec

from ....scenarios.errors import InputError
from ...record.responses import read_responses
from ...record.results import Results, read
from ._packed import pack
from ._sections import Confidences
from ._story import Story, read_history
from .document import document
from .prepare import Raw, view
from .view import ResponsesView, View


def write_page(folder: Path) -> Path:
    """Write `report.html` from results, history and responses in a folder, replacing it in one step.

    Returns its path. Raises InputError for files that are not those of a run.
    """
    path = folder / "report.html"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(document(*view_of(folder)), encoding="utf-8")
    temporary.replace(path)
    return path


def view_of(folder: Path) -> tuple[View, tuple[str, ...]]:
    """What a folder holds, as the page shows it, and its test responses in blocks.

    Raises InputError for files that are not those of a run.
    """
    story = Story()
    for at, event in read_history(folder / "history.jsonl"):
        story.take(at, event)
    results, raw = _results(folder / "results.json")
    confidences = Confidences(() if results is None else results.targets)
    path = folder / "responses.jsonl"
    try:
        for line in read_responses(path):
            confidences.take(line)
        packed = pack(read_responses(path), read_responses(path))
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not the responses of a run ({error})") from None
    responses = ResponsesView(total=packed.total, shown=packed.shown)
    shown = view(story, results, raw=raw, confidences=confidences, responses=responses)
    return shown, packed.blocks


def _results(path: Path) -> tuple[Results | None, Raw]:
    if not path.is_file():
        return None, {}
    try:
        return read(path), cast("Raw", msgspec.json.decode(path.read_bytes()))
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not results of this version ({error}); run the scenario again") from None
