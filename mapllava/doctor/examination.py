"""The checks in their order, and the loop that nothing they meet can break."""

from __future__ import annotations

import importlib
import io
import logging
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from mapllava.doctor.context import Context
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, SKIP, Finding

ENVIRONMENT, CONFIG, DATA, WEIGHTS, STEP = "environment", "config", "data", "weights", "step"


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: what ``--skip`` and ``--only`` call it.
        group: the part of the report.
        function: ``module:function`` below ``mapllava.doctor``; takes the context, yields findings.
        needs: checks (or packages) that must not have failed for this one to be made.
    """

    name: str
    group: str
    function: str
    needs: tuple[str, ...] = ()


CHECKS = (
    Check("python", ENVIRONMENT, "machine:python"),
    Check("packages", ENVIRONMENT, "packages:packages"),
    Check("commands", ENVIRONMENT, "machine:commands"),
    Check("driver", ENVIRONMENT, "machine:driver"),
    Check("gpu", ENVIRONMENT, "machine:gpu", ("torch",)),
    Check("disk", ENVIRONMENT, "machine:disk"),
    Check("shm", ENVIRONMENT, "machine:shared_memory"),
    Check("file", CONFIG, "config:file"),
    Check("keys", CONFIG, "config:keys", ("file",)),
    Check("types", CONFIG, "config:types", ("file",)),
    Check("arguments", CONFIG, "config:arguments", ("file",)),
    Check("settings", CONFIG, "settings:settings", ("file", "types", "arguments")),
    Check("roots", DATA, "data:roots", ("file", "types")),
    Check("caches", DATA, "data:caches", ("file", "types", "roots")),
    Check("images", DATA, "data:images", ("file", "types", "roots", "caches")),
    Check("weights", WEIGHTS, "weights:weights", ("file", "types")),
    Check("memory", STEP, "memory:memory", ("file", "types", "arguments")),
    Check(
        "step",
        STEP,
        "training_step:step",
        ("file", "types", "arguments", "settings", "roots", "caches", "images", "weights", "memory"),
    ),
)


def select(config: bool, only: Collection[str] = (), skip: Collection[str] = ()) -> list[Check]:
    """The checks to make.

    Args:
        config: whether there is a config; without one only the environment is looked at.
        only: names of checks or groups; all if empty.
        skip: names of checks or groups.
    """
    chosen = [check for check in CHECKS if config or check.group == ENVIRONMENT]
    if only:
        chosen = [check for check in chosen if {check.name, check.group} & set(only)]
    return [check for check in chosen if not {check.name, check.group} & set(skip)]


def examine(context: Context, checks: Collection[Check]) -> Iterator[tuple[Check, Finding]]:
    """Make checks one after the other; one that rests on a failed one is skipped.

    Whatever a check raises, of whatever library, becomes a failure of its own. What libraries print
    or log meanwhile is not shown.

    Args:
        context: what to look at.
        checks: see :func:`select`.

    Yields:
        The check and what it found; every check gives at least one finding.
    """
    failed: set[str] = set()
    skipped: set[str] = set()
    for check in checks:
        needs = check.needs if check.group == ENVIRONMENT else [*context.unusable, *check.needs]
        blocking = [name for name in needs if name in failed or name in context.unusable]
        waiting = [name for name in needs if name in skipped]
        if blocking or waiting:
            skipped.add(check.name)
            reason = f"{', '.join(blocking)} failed" if blocking else f"neither was {', '.join(waiting)}"
            yield check, Finding(check.name, SKIP, f"not looked at: {reason}")
            continue
        for finding in _make(check, context):
            if finding.status == FAIL:
                failed.add(check.name)
            yield check, finding


def _make(check: Check, context: Context) -> list[Finding]:
    found: list[Finding] = []
    try:
        with _quiet():
            module, _, function = check.function.partition(":")
            imported = importlib.import_module(f"mapllava.doctor.{module}")
            for finding in getattr(imported, function)(context):
                found.append(finding)
    except MapLLaVAError as error:
        remedy = "put it right in the config or the data that it names"
        found.append(Finding.from_error(check.name, error, remedy))
    except (Exception, SystemExit) as error:
        found.append(_unforeseen(check.name, error))
    return found or [Finding(check.name, SKIP, "nothing to look at")]


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing that libraries print or log is shown."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(level)


def _unforeseen(name: str, error: BaseException) -> Finding:
    text = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    reason = f"{type(error).__name__}: {text}{where}"
    remedy = f"put right what it names; leave this check out with --skip {name}"
    if isinstance(error, ImportError):
        package = (getattr(error, "name", None) or "the package").partition(".")[0]
        remedy = f"install {package} again: pip install -r requirements/runtime.txt"
    elif isinstance(error, OSError):
        remedy = "see that the file or library is there, whole and readable"
    return Finding(name, FAIL, reason, remedy)
