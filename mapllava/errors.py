"""The one exception that command-line tools turn into a message instead of a traceback."""

from __future__ import annotations


class MapLLaVAError(Exception):
    """Something the user can put right: a path, an option, a config value, a stale file.

    The text names what was found, where, and the remedy. Commands print ``error: <text>`` and exit
    with status 2; everything else that escapes is a defect and keeps its traceback.
    """
