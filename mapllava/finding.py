"""What a check says, whatever it looks at: a config, a cache, a machine, a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from mapllava.errors import MapLLaVAError

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"


@dataclass(frozen=True)
class Finding:
    """One thing that a check has found.

    Attributes:
        name: what was looked at, e.g. ``torch``, ``model.neck.cell`` or ``zero length``.
        status: ``ok``; ``warn`` (it works, but may not be meant); ``fail`` (it does not work, or not as
            asked); ``skip`` (could not be looked at, or does not apply).
        reason: what was found.
        remedy: what to do about it; empty where nothing needs doing.
        place: token of the sample it was found in, where it was in one.
    """

    name: str
    status: str
    reason: str
    remedy: str = ""
    place: str = ""

    @classmethod
    def from_error(cls, name: str, error: BaseException, remedy: str = "") -> Finding:
        """A failure out of an error for users, whose text often ends in the command to run.

        Args:
            name: what was looked at.
            error: what was raised; its text is the reason, up to a line break (what follows is the remedy).
            remedy: where the text has none.
        """
        reason, _, told = str(error).strip().partition("\n")
        reason = reason.removesuffix(":").removesuffix(". Rebuild it").removesuffix(". Build it")
        return cls(name, FAIL, reason, dedent(told).strip() or remedy)

    @classmethod
    def refusals(cls, name: str, remedy: str, check: Callable[..., Any], *given: Any) -> list[Finding]:
        """A failure for what a check of a run refuses, nothing for what it lets pass.

        Args:
            name: what was looked at.
            remedy: where the error's text has none.
            check: raises MapLLaVAError.
            given: what the check is given.
        """
        try:
            check(*given)
        except MapLLaVAError as error:
            return [cls.from_error(name, error, remedy)]
        return []
