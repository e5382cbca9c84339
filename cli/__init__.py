"""The command line `tprompt`."""

import sys

from ._start import check_terminal_size, end_at_signals, open_standard_streams


def main() -> None:
    """Run the command line.

    A signal ends the process at once: an exception would be lost in some imports, where extension modules
    drop errors. What has more to do at its end, as a run has, receives signals itself as long as it lasts.
    """
    end_at_signals()
    open_standard_streams()
    check_terminal_size()
    try:
        from .app import main as run_app

        run_app()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        end_at_signals()
