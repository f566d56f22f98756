"""Preflight checks of a machine and a config: each gives a status, a reason and a remedy.

Nothing but the standard library is imported here: a check brings in what it looks at by itself, so that a
broken PyTorch is a line of the report and not the end of it.
"""

from mapllava.doctor.context import Context
from mapllava.doctor.examination import CHECKS, Check, examine
from mapllava.finding import FAIL, OK, SKIP, WARN, Finding

__all__ = ["CHECKS", "FAIL", "OK", "SKIP", "WARN", "Check", "Context", "Finding", "examine"]
