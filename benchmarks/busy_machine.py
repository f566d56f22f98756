"""Seconds a training step by how OpenMP's threads wait, on a quiet machine and beside a busy process.

Random weights and images, no data set. Every figure is of a fresh process, as the setting is read once::

    python benchmarks/busy_machine.py                               # the demo's model, 3 repeats
    python benchmarks/busy_machine.py CONFIG --batch 8 --steps 10 --repeats 3 --out busy.json
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from common import finish, parser, show_table

from mapllava.cli.exit_status import exit_status
from mapllava.errors import MapLLaVAError

SETTINGS: dict[str, dict[str, str]] = {
    "as the library does": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
READ_BY_OPENMP = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
MODEL = Path(__file__).with_name("model.py")
BUSY = "while True: pass"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Within, so many other processes want a core each."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def seconds_per_step(config: str, batch: int, steps: int, setting: dict[str, str], out: Path) -> float:
    """Median of a fresh process of ``benchmarks/model.py``.

    Raises:
        MapLLaVAError: If it fails; with its last words.
    """
    env = {key: value for key, value in os.environ.items() if key not in READ_BY_OPENMP} | setting
    sizes = ["--batch", str(batch), "--steps", str(steps), "--warmup", "1"]
    command = [sys.executable, str(MODEL), config, "--device", "cpu", *sizes, "--out", str(out)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MapLLaVAError(f"benchmarks/model.py failed: {done.stderr.strip()[-500:]}")
    (row,) = json.loads(out.read_text())["rows"]
    return float(row["seconds_per_step"])


def measure(config: str, batch: int, steps: int, repeats: int, neighbours: int, out: Path) -> list[dict]:
    """One row per setting: seconds of every repeat, quiet and busy; repeats go round the settings."""
    rows = [{"setting": name, "quiet": [], "busy": []} for name in SETTINGS]
    for _ in range(repeats):
        for row in rows:
            for kind, processes in (("quiet", 0), ("busy", neighbours)):
                with busy(processes):
                    found = seconds_per_step(config, batch, steps, SETTINGS[row["setting"]], out)
                row[kind].append(found)
    for row in rows:
        row["median_quiet"], row["median_busy"] = (statistics.median(row[kind]) for kind in ("quiet", "busy"))
        row["busy_over_quiet"] = row["median_busy"] / row["median_quiet"]
    return rows


def main() -> None:
    """Measure, print, and write the result if asked."""
    made = parser(__doc__)
    made.add_argument("config", nargs="?", default="configs/stage2/synthetic.py", help="default: %(default)s")
    made.add_argument("--batch", type=int, default=8, help="samples a step (default: %(default)s)")
    made.add_argument("--steps", type=int, default=10, help="timed steps of a process (default: %(default)s)")
    made.add_argument("--repeats", type=int, default=3, help="processes of each kind (default: %(default)s)")
    made.add_argument("--neighbours", type=int, default=1, help="busy processes (default: %(default)s)")
    args = made.parse_args()
    with TemporaryDirectory() as folder:
        rows = measure(
            args.config, args.batch, args.steps, args.repeats, args.neighbours, Path(folder, "a.json")
        )
    columns = [
        "setting",
        "quiet, s a step",
        f"beside {args.neighbours} busy",
        "busy / quiet",
        "quiet / as is",
    ]
    first = rows[0]["median_quiet"]
    body = [
        [
            row["setting"],
            f"{row['median_quiet']:.3f}",
            f"{row['median_busy']:.3f}",
            f"{row['busy_over_quiet']:.1f}",
            f"{row['median_quiet'] / first:.2f}",
        ]
        for row in rows
    ]
    show_table(f"Median of {args.repeats} runs, {args.config}, batch {args.batch}", columns, body)
    sizes = {key: getattr(args, key) for key in ("config", "batch", "steps", "repeats", "neighbours")}
    finish(args.out, {**sizes, "rows": rows}, "torch", "transformers", "mmengine")


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
