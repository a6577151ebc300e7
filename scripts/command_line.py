"""How every command begins and ends."""

import signal
import sys
from collections.abc import Callable


def run_command(name: str, main: Callable[[], int | None]) -> None:
    """Run a command and end with its exit code; a bad file or value is one sentence and 1.

    An interrupt, and a reader that stops (| head), end it at once and without a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.exit(main())
    except (OSError, ValueError) as ex:
        sys.exit(f"{name}: {ex}")
