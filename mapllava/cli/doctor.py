"""The doctor's command line and its report; nothing but the standard library."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence

from mapllava.doctor.context import Context
from mapllava.doctor.examination import CHECKS, Check, examine, select
from mapllava.errors import MapLLaVAError
from mapllava.finding import FAIL, SKIP, WARN, Finding

PASSED = "all core checks passed"
DESCRIPTION = """\
Look at this machine and, with CONFIG, at everything that training on it needs: data, ground-truth
caches, weights, every component and argument of the config, memory, and one step on one batch.
Each line has a status (ok, warn, fail, skip), a reason and, where there is something to do, a remedy.
Nothing is downloaded, written or changed.
"""
EPILOG = f"""\
checks: {", ".join(check.name for check in CHECKS)}
groups of them: {", ".join(dict.fromkeys(check.group for check in CHECKS))}

examples:
  %(prog)s
  %(prog)s configs/stage2/synthetic.py
  %(prog)s configs/stage2/mini.py --no-step --cfg-options data_root=/data/nuscenes
  %(prog)s configs/stage2/mini.py --json > preflight.json
  %(prog)s configs/stage2/synthetic.py --only config data
"""
WITHOUT_CONFIG = """\
No CONFIG, so only the machine was looked at. Name one to check data, weights, settings and a training step:
  stage2/synthetic   a synthetic city, on a CPU; make demo, or mapllava city, makes data/synthetic
  stage2/mini        nuScenes mini in data/nuscenes (docs/en/get_started.md says how to get it)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    names = list(dict.fromkeys([check.name for check in CHECKS] + [check.group for check in CHECKS]))
    parser.add_argument(
        "config", nargs="?", metavar="CONFIG", help="without it only the machine is looked at"
    )
    for option, what in (("--only", "make only these checks or groups"), ("--skip", "leave these out")):
        parser.add_argument(option, nargs="+", default=[], choices=names, metavar="NAME", help=what)
    parser.add_argument(
        "--no-step", action="store_true", help="do not train on a batch: --skip step of checks"
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON on stdout")
    parser.add_argument(
        "--samples", type=int, default=4, metavar="N", help="samples per split to decode (default: 4; 0: all)"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="as for mapllava train"
    )
    parser.add_argument("--plugins", nargs="+", default=[], metavar="MODULE", help="as for mapllava train")


def run(args: argparse.Namespace) -> int:
    """Make the checks and show what they find; 1 if one fails."""
    if args.samples < 0:
        raise MapLLaVAError(f"--samples {args.samples} is negative: give 0 (all) or more")
    skip = [*args.skip, *(["memory", "step"] if args.no_step else [])]
    checks = select(bool(args.config), args.only, skip)
    context = Context(args.config, args.cfg_options, args.plugins, args.samples)
    found = examine(context, checks)
    results = collect(found) if args.json else show(found)
    failed = [finding for _, finding in results if finding.status == FAIL]
    left_out = [check.name for check in select(bool(args.config)) if check not in checks]
    if args.json:
        report = {
            "config": args.config,
            "passed": not failed,
            "left_out": left_out,
            "findings": [
                {"group": check.group, "check": check.name, **vars(each)} for check, each in results
            ],
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(summary(results, left_out, bool(args.config))) + "\n")
    return int(bool(failed))


def collect(found: Iterable[tuple[Check, Finding]]) -> list[tuple[Check, Finding]]:
    """All findings, without a word."""
    return list(found)


def show(found: Iterable[tuple[Check, Finding]]) -> list[tuple[Check, Finding]]:
    """Write each finding as it comes, under the heading of its group."""
    results: list[tuple[Check, Finding]] = []
    for check, finding in found:
        if not results or results[-1][0].group != check.group:
            sys.stdout.write(f"{check.group}\n")
        sys.stdout.write("\n".join(lines(finding)) + "\n")
        sys.stdout.flush()
        results.append((check, finding))
    return results


def lines(finding: Finding) -> list[str]:
    """A finding as the report shows it: status, name, reason; the remedy below."""
    text = [f"  {finding.status:4}  {finding.name}: {finding.reason}"]
    remedy = finding.remedy.splitlines()
    return text + [f"        {'-> ' if index == 0 else '   '}{line}" for index, line in enumerate(remedy)]


def summary(results: Sequence[tuple[Check, Finding]], left_out: Sequence[str], config: bool) -> list[str]:
    """The end of the report: how many of what, and the verdict."""
    counts = {status: sum(each.status == status for _, each in results) for status in (WARN, FAIL, SKIP)}
    text = ["", f"{len(results)} lines: {counts[FAIL]} fail, {counts[WARN]} warn, {counts[SKIP]} skip"]
    if not config:
        text += WITHOUT_CONFIG.splitlines()
    if left_out:
        text.append(f"left out as asked: {', '.join(left_out)}")
    return [*text, PASSED if not counts[FAIL] else "NOT ready: put right what fails, then run this again"]
