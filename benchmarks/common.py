"""What the benchmarks share: command line, tables, the machine and commit, memory, and the result file.

Every benchmark prints its tables and writes a file only where ``--out`` says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mapllava.files import write_json

PEAK = """
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) / 1024)
"""


def parser(description: str | None) -> argparse.ArgumentParser:
    """A command line that shows the module's text with its examples, and has ``--out``."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", help="write the figures, with machine, commit and versions, to this JSON file")
    return made


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; the first column holds names, the others numbers."""
    table = Table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(str, row))
    say(title)
    say(table)


def say(what: str | Table) -> None:
    """Print a line or a table."""
    Console(highlight=False, soft_wrap=isinstance(what, str)).print(what)


def finish(out: str | None, result: dict[str, Any], *packages: str) -> None:
    """Print what was measured on what, and write all of it if a file is named.

    Args:
        out: The JSON file, or None.
        result: The figures.
        packages: Distributions whose versions belong to the figures, e.g. ``shapely``.
    """
    result = {**result, **circumstances(*packages)}
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    where = result["machine"]
    say(f"{where['cpu']}, {where['cores']} cores, load {where['load_average']:.1f}; {versions}")
    say(f"commit {result['commit']}, {result['date']}: {result['command']}")
    if out:
        say(f"written to {write_json(out, result)}")


def circumstances(*packages: str) -> dict[str, Any]:
    """``machine``, ``commit``, ``command``, ``date`` and ``versions`` of this run."""
    return {
        "machine": machine(),
        "commit": commit(),
        "command": " ".join(["python", *sys.argv]),
        "date": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "versions": {"python": platform.python_version(), **{name: installed(name) for name in packages}},
    }


def machine() -> dict[str, Any]:
    """Processor, number of cores and how busy they are."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return {"cpu": name, "cores": os.cpu_count(), "load_average": os.getloadavg()[0]}


def installed(package: str) -> str:
    """Version of an installed distribution, or ``absent``."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def commit() -> str:
    """The checked-out commit, marked where the tree differs from it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def peak_mib(code: str, *args: object) -> float:
    """Peak resident memory of a fresh process that runs some code, MiB (Linux).

    Raises:
        RuntimeError: If the code fails; the message is its error output.
    """
    command = [sys.executable, "-c", code + PEAK, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the memory of a part could not be measured:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def memory_rows(peaks: dict[str, dict[str, float]]) -> list[list[str]]:
    """Rows of peak MiB at two set sizes, and what one more sample takes.

    Args:
        peaks: What is measured -> number of samples -> peak MiB.
    """
    rows = []
    for what, sizes in peaks.items():
        (few, low), (many, high) = ((int(count), peak) for count, peak in sizes.items())
        grown = 1024 * (high - low) / max(1, many - few)
        rows.append([what, f"{low:.0f} at {few:,}", f"{high:.0f} at {many:,}", f"{grown:.1f}"])
    return rows


MEMORY_COLUMNS = ("peak memory, MiB", "at a small set", "at a large one", "KiB per further sample")
