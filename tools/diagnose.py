#!/usr/bin/env python
"""Find out what a trained model uses, what it knows, and where its gradients go."""

from __future__ import annotations

from mapllava.startup import begin

begin(__name__)

import argparse
import sys
from pathlib import Path

from mapllava.analysis.diagnosis import (
    SECTIONS,
    Diagnosis,
    diagnosis_text,
    draw_diagnosis,
    findings,
    open_checkpoint,
)
from mapllava.analysis.diagnosis.samples import SPLITS
from mapllava.config.options import OptionsAction
from mapllava.errors import MapLLaVAError, exit_status
from mapllava.files import write_json
from mapllava.progress import progress_bar

DESCRIPTION = f"""\
Look into a trained model. One pass over some samples of a split gives

{chr(10).join(f"  {name:<10} {what}" for name, what in SECTIONS.items())}

as tables on the console, diagnosis.json and pictures. The config is config.json beside the
checkpoint; nothing that lies there is changed. docs/en/diagnostics.md says how to read it.
"""
EPILOG = """\
examples:
  python tools/diagnose.py outputs/map_detection_stage2_20260101_120000/best_model.pth
  python tools/diagnose.py RUN/best_model.pth --split train --max-samples 500 --device cuda:1
  python tools/diagnose.py RUN/best_model.pth --skip ablations probes --out-dir /tmp/diagnosis
  python tools/diagnose.py RUN/best_model.pth --cfg-options data_root=/data/nuscenes

exit status: 0, or 2 if something is missing or does not fit (the message says what to do)
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("checkpoint", type=Path, help="for instance best_model.pth of a run folder")
    add("--out-dir", type=Path, help="folder of what is written (default: diagnosis/ beside the checkpoint)")
    add("--split", choices=SPLITS, default="val", help="data of the config to look at (default: val)")
    add(
        "--max-samples",
        type=int,
        default=200,
        metavar="N",
        help="most samples, drawn at random; 0 for all (default: 200)",
    )
    add("--seed", type=int, default=0, help="of draw, intervals and probes (default: 0)")
    add("--device", help="for instance cpu or cuda:1 (default: the first GPU, or else the CPU)")
    add("--skip", nargs="+", choices=SECTIONS, default=[], metavar="SECTION", help="what to leave out")
    add("--config", type=Path, help="config file (default: config.json beside the checkpoint)")
    add(
        "--cfg-options",
        nargs="+",
        action=OptionsAction,
        metavar="KEY=VALUE",
        help="override config values, for instance data_root=/data/nuscenes test_dataloader.batch_size=2",
    )
    add("--plugins", nargs="+", default=[], metavar="MODULE", help="modules or .py files to import first")
    args = parser.parse_args(argv)
    if args.max_samples < 0:
        parser.error(f"--max-samples {args.max_samples}: give 0 (all) or more")
    return args


def run(args: argparse.Namespace) -> None:
    """Open, look, print and write."""
    opened = open_checkpoint(args.checkpoint, args.config, args.device, args.cfg_options, args.plugins)
    out_dir = args.out_dir or args.checkpoint.parent / "diagnosis"
    if out_dir.exists() and not out_dir.is_dir():
        raise MapLLaVAError(f"'{out_dir}' is a file: name a folder with --out-dir")
    diagnosis = Diagnosis(opened, args.split, args.max_samples, args.seed, args.skip)
    with progress_bar("looking at samples", len(diagnosis.samples), sys.stderr.isatty()) as advance:
        found = diagnosis.run(advance)
    print(diagnosis_text(found))
    said = [vars(finding) for finding in findings(found)]
    written = [write_json(out_dir / "diagnosis.json", {**found, "findings": said}, allow_nan=False)]
    written += draw_diagnosis(found, out_dir)
    sys.stdout.write(f"\nwritten: {', '.join(str(path) for path in written)}\n")


def main(argv: list[str] | None = None) -> int:
    """Run and return the exit status: 0, or 2 for what the user can put right."""
    return exit_status(run, parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
