"""Signals and standard streams from the first moment of a command on. Imports little, so that this moment
comes early."""

import os
import signal
import sys


def end_signals() -> tuple[signal.Signals, ...]:
    """Signals that end a command: SIGINT, SIGTERM, and SIGHUP unless it is ignored (`nohup`) or unknown."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, hangup


def _end(number: int, _frame: object) -> None:
    """End the process with one line and 128 + the signal's number, as a shell counts."""
    try:
        os.write(2, b"interrupted\n")
    except OSError:  # nobody reads stderr any more
        pass
    finally:
        os._exit(128 + number)


def end_at_signals() -> None:
    """Let signals end the process at once."""
    for number in end_signals():
        signal.signal(number, _end)


def raise_on_ctrl_c() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on, for what has more to do at its end than to go away."""
    if signal.getsignal(signal.SIGINT) is _end:  # in a host's process its handlers stay
        signal.signal(signal.SIGINT, signal.default_int_handler)


def open_standard_streams() -> None:
    """Open the null device in place of each standard stream that is closed (`>&-`): the next file or socket
    would take its number, and get what is printed."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def check_terminal_size() -> None:
    """Forget the width and height in the environment where they are none: libraries fail at them."""
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "")
        if not (value.isascii() and value.isdigit() and len(value) < 5):
            os.environ.pop(name, None)
