"""The root of the error tree, and suggestions for names that are not known."""

from collections.abc import Iterable
from difflib import get_close_matches


class TransferPromptingError(Exception):
    """Root of every error this package raises on purpose."""


class InputError(TransferPromptingError):
    """What was handed in is wrong: a scenario, a data file, an argument.

    The message names the file, line or key, says what was expected and what to do.
    The command line prints it alone and exits with 2.
    """


def nearest(name: str, known: Iterable[str], *, all_are: str = "there are", cutoff: float = 0.6) -> str:
    """`did you mean 'x'?`, or all there are where nothing comes close (`cutoff` in [0, 1], 1 is equal)."""
    names = sorted(set(known))
    close = get_close_matches(name, names, n=1, cutoff=cutoff)
    return f"did you mean {close[0]!r}?" if close else f"{all_are} {', '.join(names) or 'none'}"
