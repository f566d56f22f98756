"""The command ``mapllava``: names of what it does, each with the module that does it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mapllava.cli import doctor as command
from mapllava.startup import begin

USAGE = """\
usage: mapllava doctor [CONFIG] [options]

  doctor   look at this machine and a config before training: mapllava doctor --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the first word says; returns the exit status."""
    begin("__main__")
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["doctor"]:
        return command.main(words[1:], prog="mapllava doctor")
    asked = words[:1] in (["-h"], ["--help"])
    (sys.stdout if asked else sys.stderr).write(USAGE)
    return 0 if asked else 2


if __name__ == "__main__":
    raise SystemExit(main())
