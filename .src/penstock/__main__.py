"""The command `penstock`, also `python -m penstock`: outside the packages, so that Ctrl-C is clean while they load."""

from __future__ import annotations

import sys


def main() -> int:
    """Returns the exit code of the command."""
    try:
        from penstock.router.cli import main as command
    except KeyboardInterrupt:
        print("penstock: interrupted", file=sys.stderr)
        return 130
    return command()


if __name__ == "__main__":
    sys.exit(main())
