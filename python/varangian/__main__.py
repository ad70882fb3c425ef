"""The command ``varangian``, as ``cargo install varangian`` gives it."""

import sys

from varangian import _core


def main() -> int:
    return _core.command(["varangian", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
