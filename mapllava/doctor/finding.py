"""What a check says: one line of the report."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from mapllava.config.mistake import Mistake

OK, WARN, FAIL, SKIP = "ok", "warn", "fail", "skip"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at, e.g. ``torch`` or ``val cache``.
        status: ``ok``; ``warn`` (training works, something may be unwanted); ``fail`` (it does not work, or
            not as asked); ``skip`` (could not be looked at, or does not apply).
        reason: what was found.
        remedy: what to do about it; empty where nothing needs doing.
    """

    name: str
    status: str
    reason: str
    remedy: str = ""


def from_error(name: str, error: BaseException, remedy: str = "") -> Finding:
    """A failure out of an error for users, whose text often ends in the command to run.

    Args:
        name: what was looked at.
        error: what was raised; its text is the reason, up to a line break (what follows is the remedy).
        remedy: where the text has none.
    """
    reason, _, told = str(error).strip().partition("\n")
    reason = reason.removesuffix(":").removesuffix(". Rebuild it").removesuffix(". Build it")
    return Finding(name, FAIL, reason, dedent(told).strip() or remedy)


def from_mistake(mistake: Mistake) -> Finding:
    """A failure, or a warning, out of a mistake in a config."""
    return Finding(mistake.where, FAIL if mistake.grave else WARN, mistake.reason, mistake.remedy)


def gigabytes(size: float) -> str:
    """Bytes as a person reads them, e.g. ``3.2 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
