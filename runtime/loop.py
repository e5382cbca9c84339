"""The event loop of a process that is ours alone, such as the command line's; a host keeps its own."""

import gc
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar, TypeVarTuple

import anyio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

_YOUNG = 20_000  # objects made and not yet gone after which the collector looks; Python's own is 700


def run(main: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
    """Run `main` to its end, on uvloop where that is installed, and return or raise what it does.

    The garbage collector is set for many calls at once: it never again walks what imports made (that alone
    costs about as much as a model call), and a burst of calls does not make it look at each of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
    return anyio.run(main, *arguments, backend_options={"use_uvloop": find_spec("uvloop") is not None})
