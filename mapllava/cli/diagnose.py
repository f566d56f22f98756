"""Find out what a trained model uses, what it knows, and where its gradients go."""

from __future__ import annotations

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
from mapllava.apis.demo_files import folder_beside
from mapllava.cli.command_line import add_config_options, say
from mapllava.errors import MapLLaVAError
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
  %(prog)s outputs/map_detection_stage2_20260101_120000/best_model.pth
  %(prog)s RUN/best_model.pth --split train --max-samples 500 --device cuda:1
  %(prog)s RUN/best_model.pth --skip ablations probes --out-dir /tmp/diagnosis
  %(prog)s RUN/best_model.pth --cfg-options data_root=/data/nuscenes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
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
    add_config_options(parser)


def run(args: argparse.Namespace) -> None:
    """Open, look, print and write."""
    if args.max_samples < 0:
        raise MapLLaVAError(f"--max-samples {args.max_samples}: give 0 (all) or more")
    opened = open_checkpoint(args.checkpoint, args.config, args.device, args.cfg_options, args.plugins)
    out_dir = args.out_dir or folder_beside(args.checkpoint, "diagnosis")
    if out_dir.exists() and not out_dir.is_dir():
        raise MapLLaVAError(f"'{out_dir}' is a file: name a folder with --out-dir")
    diagnosis = Diagnosis(opened, args.split, args.max_samples, args.seed, args.skip)
    with progress_bar("looking at samples", len(diagnosis.samples), sys.stderr.isatty()) as advance:
        found = diagnosis.run(advance)
    say(diagnosis_text(found))
    said = [vars(finding) for finding in findings(found)]
    written = [write_json(out_dir / "diagnosis.json", {**found, "findings": said}, allow_nan=False)]
    written += draw_diagnosis(found, out_dir)
    sys.stdout.write(f"\nwritten: {', '.join(str(path) for path in written)}\n")
