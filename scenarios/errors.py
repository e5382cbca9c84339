"""The root of the error tree, and suggestions for names that are not known."""

from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 20
"""Names listed in one message."""


class TransferPromptingError(Exception):
    """Root of every error this package raises on purpose."""


class InputError(TransferPromptingError):
    """Bad input: a scenario, a data file, an argument.

    The message names the file, line or key, says what was expected and what to do.
    The command line prints it alone and exits with 2.
    """


def nearest(name: str, known: Iterable[str], *, all_are: str = "there are", cutoff: float = 0.6) -> str:
    """`did you mean 'x'?`, or the names there are where nothing comes close.

    `cutoff` is the least similarity in [0, 1], where 1 is equal. At most `LISTED` names are listed.
    """
    names = sorted(set(known))
    close = get_close_matches(name, names, n=1, cutoff=cutoff)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{all_are} {', '.join(names[:LISTED]) or 'none'}{more}"
