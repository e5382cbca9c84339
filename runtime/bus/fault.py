"""An error as a value: what of it can cross a network, and how it becomes an exception again."""

import builtins
import sys

import msgspec

from ..errors import RemoteError

Plain = str | int | float | bool | None


class Fault(msgspec.Struct, frozen=True, array_like=True):
    """An exception of a handler: its class, text, plain attributes and cause; of a group, its parts."""

    module: str
    name: str
    text: str
    attributes: dict[str, Plain] = {}
    cause: "Fault | None" = None
    parts: tuple["Fault", ...] = ()


def fault_of(error: BaseException) -> Fault:
    """What of an exception is carried: attributes that are text, numbers or None, causes and parts alike."""
    kind = type(error)
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return Fault(
        kind.__module__,
        kind.__qualname__,
        error.message if isinstance(error, BaseExceptionGroup) else str(error),
        {name: value for name, value in vars(error).items() if isinstance(value, Plain)},
        None if error.__cause__ is None else fault_of(error.__cause__),
        tuple(fault_of(part) for part in parts),
    )


def error_of(fault: Fault) -> Exception:
    """The exception again, with its cause.

    Its class is found among those this process has loaded already: nothing is imported and no constructor
    runs on what came from elsewhere. A class that is not known here becomes a RemoteError that names it.
    """
    error = _bare(fault)
    if fault.cause is not None:
        error.__cause__ = error_of(fault.cause)
    return error


def _bare(fault: Fault) -> Exception:
    if fault.parts:
        return ExceptionGroup(fault.text, [error_of(part) for part in fault.parts])
    kind = _class(fault)
    if kind is None:
        return RemoteError(f"{fault.name}: {fault.text}")
    error = kind.__new__(kind, fault.text)
    error.args = (fault.text,)
    vars(error).update(fault.attributes)
    return error


def _class(fault: Fault) -> type[Exception] | None:
    module = builtins if fault.module == "builtins" else sys.modules.get(fault.module)
    found = getattr(module, fault.name, None)
    if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, ExceptionGroup):
        return found
    return None
