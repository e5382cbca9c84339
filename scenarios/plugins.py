"""Parts of a user's own that a scenario names: strategies, metrics, answer formats and readers.

A name is either dotted, `package.module:name`, which imports that module and so needs the caller's
permission, or the name of an entry point that an installed package declares in the kind's group.
"""

import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .errors import InputError, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PluginKind = Literal["strategy", "metric", "format", "reader"]

_PLURALS: dict[PluginKind, str] = {
    "strategy": "strategies",
    "metric": "metrics",
    "format": "formats",
    "reader": "readers",
}
_NOUNS: dict[PluginKind, str] = {"metric": "function", "reader": "function"}


def group(kind: PluginKind) -> str:
    """The group of entry points for this kind, e.g. `transfer_prompting.strategies`."""
    return f"transfer_prompting.{_PLURALS[kind]}"


def is_dotted(name: str) -> bool:
    """True for `package.module:name`."""
    module, _, attribute = name.partition(":")
    return attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))


def registered(kind: PluginKind) -> "dict[str, EntryPoint]":
    """The entry points of this kind by name; installed distributions are searched at each call."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=group(kind))}


def check_name(kind: PluginKind, name: str, known: Sequence[str]) -> str:
    """The name, where it is one of `known`, dotted, or an entry point; ValueError for any other."""
    if name in known or is_dotted(name):
        return name
    names = [*known, *(found := registered(kind))]
    if name not in found:
        raise ValueError(
            f"{name!r} is no {kind}; {nearest(name, names)} (also package.module:name, and entry points of "
            f"{group(kind)})"
        )
    return name


def load(kind: PluginKind, name: str, folder: Path, *, allow_code: bool) -> object:
    """The object that a dotted name or an entry point stands for.

    The module of a dotted name is one that is installed, or lies in `folder` or in the working directory.
    Entry points need no `allow_code`: the installed package itself offers them.

    Raises InputError when the name has another form, is of the standard library, or nobody allows code; when
    its module cannot be imported, raises, exits, or lacks the object.
    """
    if is_dotted(name):
        return _imported(kind, name, folder, allow_code=allow_code)
    point = registered(kind).get(name)
    if point is None:
        raise InputError(
            f"{kind} {name}: expected package.module:{_NOUNS.get(kind, 'name')}, or an entry point of "
            f"{group(kind)}; no installed package has one of that name"
        )
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise InputError(f"{kind} {name}: entry point {point.value} {raised(error)}") from error


def _imported(kind: PluginKind, name: str, folder: Path, *, allow_code: bool) -> object:
    module_name, _, attribute = name.partition(":")
    if module_name.partition(".")[0] in sys.stdlib_module_names | {"__main__"}:
        raise InputError(
            f"{kind} {name}: a module of Python itself has no {_PLURALS[kind]}; name one of your own"
        )
    if not allow_code:
        raise InputError(
            f"{kind} {name}: names Python code, which this scenario would run; if you trust it, give "
            "--allow-code (from Python: Scenario.load(…, allow_code=True))"
        )
    try:
        with _importable(folder, Path.cwd()):
            module = import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"{kind} {name}: module {module_name} cannot be imported ({error}); install it, put it beside "
            "the scenario file, or correct the name"
        ) from error
    except (Exception, SystemExit) as error:
        raise InputError(f"{kind} {name}: module {module_name} {raised(error)}") from error
    found: object = getattr(module, attribute, None)
    noun = _NOUNS.get(kind, "name")
    if found is None or (noun == "function" and not callable(found)):
        raise InputError(f"{kind} {name}: module {module_name} has no {noun} {attribute}")
    return found


@contextmanager
def guarded(kind: PluginKind, name: str, *, passing: tuple[type[BaseException], ...] = ()) -> Generator[None]:
    """Code of a plugin runs inside: its exceptions, SystemExit too, are raised as InputError with their line,
    but for those that are `passing`."""
    try:
        yield
    except passing:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{kind} {name}: {raised(error)}") from error


def raised(error: BaseException) -> str:
    """The error and the line of the plugin it comes from, in one sentence."""
    if isinstance(error, SyntaxError):
        return f"is not valid Python ({error})"
    frames = traceback.extract_tb(error.__traceback__)
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    # Rather the plugin's own line than one of a library that it calls.
    last = ([frame for frame in frames if not _installed(Path(frame.filename))] or frames)[-1:]
    return f"raised {said}{''.join(f' ({frame.filename}:{frame.lineno})' for frame in last)}"


def _installed(file: Path) -> bool:
    return "site-packages" in file.parts or Path(__file__).parents[1] in file.parents


@contextmanager
def _importable(*folders: Path) -> Generator[None]:
    """Modules in these folders can be imported too; what is installed takes precedence."""
    added = [
        path for path in dict.fromkeys(str(folder.absolute()) for folder in folders) if path not in sys.path
    ]
    sys.path += added
    try:
        yield
    finally:
        sys.path[:] = [path for path in sys.path if path not in added]


def check_arguments(what: str, function: Callable[..., object], *names: str) -> None:
    """Raises InputError where a function cannot be called with these arguments by position."""
    try:
        signature(function).bind(*names)
    except TypeError:
        raise InputError(
            f"{what}: it is called as f({', '.join(names)}), which "
            f"{getattr(function, '__name__', function)}{signature(function)} does not take"
        ) from None
    except ValueError:  # some functions written in C do not say what they take
        pass
