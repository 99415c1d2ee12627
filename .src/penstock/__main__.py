"""The command `penstock`, also `python -m penstock`: outside the packages, so that Ctrl-C is clean while they load."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Returns the exit code of the command."""
    before = signal.signal(signal.SIGINT, _leave)
    from penstock.router.cli import main as command

    signal.signal(signal.SIGINT, before)
    return command()


def _leave(*_: object) -> None:
    """Ends the process at once: a KeyboardInterrupt inside the loading of compiled modules can crash it."""
    os.write(sys.stderr.fileno(), b"penstock: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
