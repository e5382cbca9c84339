"""From a file (or a bundled name) to a validated scenario, with errors that say where and what to do."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from .document import Document, Key, parse
from .errors import InputError
from .nearest import nearest
from .scenario import Scenario
from .secrets import refuse_secrets
from .strict import Misplaced


def load(scenario: str | Path, overrides: Iterable[str] = ()) -> Scenario:
    """The scenario at a path, or the bundled one of that name, with `key.path=value` overrides applied.

    Raises InputError: no such scenario, YAML that does not parse, an unknown key, a wrong value, a secret.
    """
    path = find(scenario)
    document = parse(_read(path), str(path))
    for override in overrides:
        _override(document, override)
    return build(document, path.parent)


def find(scenario: str | Path) -> Path:
    """The file of a scenario given by path or bundled name; InputError when there is none."""
    path = Path(scenario)
    if path.is_file():
        return path
    names = bundled()
    if str(scenario) in names:
        return names[str(scenario)]
    if path.is_dir():
        inside = ", ".join(file.name for file in _scenario_files(path))
        raise InputError(f"{scenario}: a folder; give the scenario file{inside and f' in it: {inside}'}")
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        beside = [str(file) for file in _scenario_files(path.parent)]
        hint = f"; {nearest(str(path), beside)}" if beside else ""
        raise InputError(f"{scenario}: no such scenario file{hint}")
    known = [*names, *(str(file) for file in _scenario_files(path.parent))]
    raise InputError(f"{scenario}: neither a file nor a bundled scenario; {nearest(str(scenario), known)}")


def completions(incomplete: str) -> list[str]:
    """What SCENARIO may go on to be: bundled names, scenario files, and folders that may hold some."""
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    below = [f"{entry}/" for entry in sorted(folder.glob("*/")) if not entry.name.startswith(".")]
    found = [*bundled(), *(str(file) for file in _scenario_files(folder)), *below]
    return [name for name in found if name.startswith(incomplete)]


def _scenario_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix in {".yaml", ".yml"})


def bundled() -> dict[str, Path]:
    """The bundled scenarios by name."""
    paths = (
        Path(str(entry))
        for entry in files(__name__.rpartition(".")[0]).iterdir()
        if entry.name.endswith(".yaml")
    )
    return {path.stem: path for path in sorted(paths)}


def build(document: Document, folder: Path) -> Scenario:
    """Validate a document; InputError lists every problem with its file, line and key."""
    refuse_secrets(document)
    try:
        return Scenario.model_validate(document.data).at(folder)
    except ValidationError as invalid:
        problems = [_problem(document, cast("Mapping[str, object]", e)) for e in invalid.errors()]
        raise InputError("\n".join(dict.fromkeys(problems))) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _problem(document: Document, error: Mapping[str, object]) -> str:
    path = cast("tuple[Key, ...]", error["loc"])
    context = cast("Mapping[str, object]", error.get("ctx", {}))
    if isinstance(found := context.get("error"), Misplaced):
        return f"{document.place((*path, *found.path))}: {found.problem}"
    where = document.place(path)
    message = str(error["msg"]).removeprefix("Value error, ")
    match error["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key{_nearest(path)}"
        case "missing":
            return f"{where}: missing; this key is required"
        case "value_error":
            return f"{where}: {message}"
        case "string_pattern_mismatch" if path[-1] == "[key]":
            return f"{document.place(path[:-1])}: this name must match {context['pattern']}"
        case _:
            return f"{where}: {message}, got {error['input']!r}"


def _nearest(path: tuple[Key, ...]) -> str:
    known = sorted(_model_at(path[:-1]).model_fields)
    return f"; {nearest(str(path[-1]), known, all_are='known keys here are')}"


def _model_at(path: tuple[Key, ...]) -> type[BaseModel]:
    """The pydantic class that validates the mapping at this path."""
    model: type[BaseModel] = Scenario
    keys = iter(path)
    for key in keys:
        field = model.model_fields.get(str(key))
        if field is not None:
            model = _class_in(field.annotation) or model
            if _by_name(field.annotation):
                next(keys, None)
    return model


def _by_name(annotation: object) -> bool:
    """Whether the keys of this value are names of the user's own."""
    return any(get_origin(kind) is dict for kind in (annotation, *get_args(annotation)))


def _class_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _class_in(inner)
        if found is not None:
            return found
    return None


def _override(document: Document, override: str) -> None:
    path, equals, value = override.partition("=")
    if not equals or not path.strip():
        raise InputError(f"--set {override}: expected key.path=value, e.g. --set budget.calls=500")
    try:
        parsed = cast("object", yaml.safe_load(value))
    except yaml.YAMLError:
        raise InputError(f"--set {override}: the value is not valid YAML") from None
    document.set(tuple(path.strip().split(".")), parsed, f"--set {override}")
