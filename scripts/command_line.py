"""How every command begins and ends."""

import glob
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path


def run_command(name: str, main: Callable[[], int | None]) -> None:
    """Run a command and end with its exit code; a bad file or value is one sentence and 1.

    An interrupt, and a reader that stops (| head), end it at once and without a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.exit(main())
    except OSError as ex:  # said without Python's number of the error
        sys.exit(f"{name}: {ex.filename}: {ex.strerror}." if ex.filename else f"{name}: {ex}")
    except ValueError as ex:
        sys.exit(f"{name}: {ex}")


def split_paths(text: str) -> list[Path]:
    """Return the paths that a text names: one that exists, or else as a shell would split it.

    So make can pass on a variable as it was typed: quotes, ~ and patterns are understood, and a
    name may hold blanks and brackets. ValueError: a quotation is not closed.
    """
    if text and Path(text).exists():
        return [Path(text)]
    try:
        words = shlex.split(text)
    except ValueError as ex:
        raise ValueError(f"{text!r} cannot be read: {ex}.") from None
    paths = []
    for word in words:
        path = Path(word).expanduser()
        found = [] if path.exists() else sorted(glob.glob(str(path)))
        paths += [Path(each) for each in found] or [path]
    return paths
