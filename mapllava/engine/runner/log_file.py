"""The log on disk."""

from __future__ import annotations

import logging
import sys

from mapllava.files import cannot_write


class LogFile(logging.FileHandler):
    """A log file whose disk may be full: says so once, and the run goes on without its lines.

    The next checkpoint decides whether it can; until then room can be made.
    """

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # the base class's name
        """Called by ``logging`` in an ``except`` clause."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            sys.stderr.write(f"warning: {cannot_write(self.baseFilename, error)}; the run goes on without\n")


def on_disk(handler: logging.FileHandler) -> LogFile:
    """The same log file, as a :class:`LogFile`."""
    handler.close()
    made = LogFile(handler.baseFilename, "a", handler.encoding)
    made.setFormatter(handler.formatter)
    made.setLevel(handler.level)
    made.filters = handler.filters
    return made
