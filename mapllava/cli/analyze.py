"""Draw how runs went, and compare them: losses, mAP, gradient norms and learning rates."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mapllava.analysis.run.run_curves import draw_runs, protocol_line
from mapllava.analysis.run.run_record import Curve, RunRecord, read_run
from mapllava.errors import MapLLaVAError
from mapllava.files import write_json

EPILOG = """\
examples:
  %(prog)s outputs/map_detection_stage2_20260101_120000
  %(prog)s outputs/map_detection_stage2_* --out comparison.png --json comparison.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="run folder; also of a run that goes on"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the picture (default: RUN/curves.png for one run, run_comparison.png for several)",
    )
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    parser.add_argument(
        "--linear", action="store_true", help="linear instead of logarithmic axis for the loss"
    )


def curves_of(run: RunRecord) -> list[tuple[str, Curve, bool]]:
    """Name, curve, and whether low is good, of what the table shows; norms and rates have no good side."""
    rows = [(name, curve, True) for name, curve in run.losses.items() if "." not in name]
    rows += [(name, curve, False) for name, curve in run.scores.items()]
    rows += [(f"grad_norm/{name}", curve, True) for name, curve in run.norms.items()]
    return rows + [(f"lr/{name}", curve, False) for name, curve in run.rates.items()]


def facts_of(run: RunRecord) -> dict[str, Any]:
    """The run's table as plain values; what is not finite becomes null."""
    values = {}
    for name, curve, lowest in curves_of(run):
        at, best = curve.best(lowest)
        entry = {
            "last": curve.y[-1],
            "last_at": curve.x[-1],
            ("lowest" if lowest else "highest"): best,
            "at": at,
        }
        values[name] = {key: value if math.isfinite(value) else None for key, value in entry.items()}
    facts = {"run": run.name, "folder": str(run.folder), "split": run.split, "protocol": run.protocol}
    return {**facts, "averaged_weights": run.averaged, "values": values, "notes": run.notes}


def table_of(run: RunRecord) -> Table:
    """Last and best value of every curve."""
    table = Table(box=None, pad_edge=False)
    for heading in ("value", "last", "at", "best", "at"):
        table.add_column(heading, justify="left" if heading == "value" else "right")
    for name, curve, lowest in curves_of(run):
        unit = "epoch" if (score := name in run.scores) else "step"
        at, best = curve.best(lowest)
        show = (lambda value: f"{100 * value:.2f} %") if score else (lambda value: f"{value:.4g}")
        cells = [name, show(curve.y[-1]), f"{unit} {curve.x[-1]:g}"]
        if score or name in run.losses:
            cells += [show(best), f"{unit} {at:g}"]
        table.add_row(*cells)
    return table


def run(args: argparse.Namespace) -> int:
    """Read, print, draw."""
    if len({path.resolve() for path in args.runs}) < len(args.runs):
        raise MapLLaVAError("a run folder is given twice: name each once")
    runs = [read_run(path) for path in args.runs]
    names = [record.name for record in runs]
    for record in runs:
        if names.count(record.name) > 1:
            record.name = str(record.folder)
    console = Console(width=None if sys.stdout.isatty() else 200)
    for record in runs:
        title = f"{record.name}: {protocol_line(record)}"
        console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        console.print(table_of(record))
        for note in record.notes:
            console.print(f"note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        console.print()
    out = args.out or (args.runs[0] / "curves.png" if len(runs) == 1 else Path("run_comparison.png"))
    path = draw_runs(runs, out, log_loss=not args.linear)
    if args.json:
        write_json(args.json, [facts_of(record) for record in runs])
    console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    return 0
