"""The root of the package's exception tree; `runtime.errors` grows the rest of it."""


class TransferPromptingError(Exception):
    """Root of every error this package raises on purpose."""


class InputError(TransferPromptingError):
    """What was handed in is wrong: a scenario, a data file, an argument.

    The message names the file, line or key, says what was expected and what to do.
    The command line prints it alone and exits with 2.
    """
