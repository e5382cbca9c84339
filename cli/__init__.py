"""The command line `tprompt`."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C while it is being imported ends it as it does later, with 130."""
    try:
        from .app import main as run_app

        run_app()
    except KeyboardInterrupt:
        sys.exit(130)
