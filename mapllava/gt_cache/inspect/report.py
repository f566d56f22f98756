"""What was found in caches, as tables for people and as plain values for JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from mapllava.files import write_json
from mapllava.finding import FAIL, Finding
from mapllava.gt_cache.inspect.compare import TIGHT, CacheDifference, LineDifference, SampleComparison

_SHOWN = 3
_LONG = 60


def title_of(path: str | Path, metainfo: Mapping[str, Any]) -> str:
    """How a cache is called beside what was found in it: file, version, split and size."""
    return f"{path} (split {metainfo['split']} of {metainfo['version']}, {metainfo['num_samples']} samples)"


def facts_of(path: str | Path, metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """The same for JSON: ``cache``, ``version``, ``split``, ``num_samples``."""
    return {"cache": str(path), **{key: metainfo[key] for key in ("version", "split", "num_samples")}}


def print_findings(
    console: Console,
    findings: Sequence[Finding],
    path: str | Path,
    metainfo: Mapping[str, Any],
    maps: str | Path | None,
) -> None:
    """One row per check that found something: how often, in how many samples, and the first of them.

    Args:
        console: Where to.
        findings: What :func:`~mapllava.gt_cache.inspect.lint.lint` returns.
        path: The cache.
        metainfo: Of the cache.
        maps: The data root whose maps poses were judged by; None if they were not.
    """
    samples = metainfo["num_samples"]
    table = Table("status", "check", "findings", "samples", Column("first", overflow="fold"))
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.status, finding.name].append(finding)
    for (status, check), group in sorted(groups.items()):
        tokens = {finding.place for finding in group}
        first = f"{group[0].place}: {group[0].reason}"
        table.add_row(status, check, str(len(group)), f"{len(tokens)} of {samples}", first)
    if findings:
        console.print(table)
    errors = sum(finding.status == FAIL for finding in findings)
    counts = f"{errors} errors, {len(findings) - errors} warnings"
    console.print(f"{title_of(path, metainfo)}: {counts}", highlight=False, soft_wrap=True)
    judged = f"judged by the maps in {maps}"
    unknown = (
        f"NOT judged: {metainfo['dataroot'] or 'the data root'}, which the cache was built from, has no maps "
        "here; pass --dataroot"
    )
    console.print(f"poses off the road: {judged if maps else unknown}", highlight=False, soft_wrap=True)


def print_comparison(console: Console, comparison: SampleComparison, title: str) -> None:
    """One row per class and kind of difference, how far and the first samples; then a summary."""
    samples = Column("first samples", overflow="fold")
    table = Table("class", "difference", "lines", "largest", samples, title=title)
    groups: dict[tuple[str, str], list[LineDifference]] = defaultdict(list)
    for difference in comparison.differences:
        groups[difference.class_name, difference.kind].append(difference)
    for (name, kind), group in groups.items():
        far = max(difference.distance for difference in group)
        tokens = list(dict.fromkeys(difference.sample_token for difference in group))
        shown = ", ".join(tokens[:_SHOWN]) + (" …" if len(tokens) > _SHOWN else "")
        table.add_row(name, kind, str(len(group)), f"{far:.3f} m" if np.isfinite(far) else "", shown)
    if comparison.changed_poses:
        tokens = comparison.changed_poses
        table.add_row("", "poses or cameras", "", "", f"{len(tokens)} samples, first {tokens[0]}")
    if not comparison.identical:
        console.print(table)
    distances = np.asarray(comparison.distances)
    text = f"{comparison.samples} samples compared, {len(distances)} lines in both"
    if len(distances):
        share = 100 * (distances <= TIGHT).mean()
        text += f" (largest distance {distances.max():.4f} m, {share:.1f} % within 1 cm)"
    console.print(f"{text}, {len(comparison.differences)} lines differ")


def print_difference(console: Console, difference: CacheDifference, title: str) -> None:
    """Meta information and samples that two caches do not share, then their lines."""
    table = Table("", "first", "second", title=title)
    for key, values in difference.metainfo.items():
        table.add_row(key, *(_short(value) for value in _apart(*values)))
    table.add_row("samples only there", str(len(difference.only_first)), str(len(difference.only_second)))
    console.print(table)
    print_comparison(console, difference.comparison, "Lines and poses of the samples that both have")


def as_json(value: Any) -> Any:
    """Findings, a comparison or a cache difference as builtins; infinite distances become None.

    The distances of the lines that both sides have become ``lines_in_both``, ``largest_distance`` (metres)
    and ``share_within_1_cm``.
    """
    if isinstance(value, list):
        return [as_json(item) for item in value]
    plain = asdict(value)
    if isinstance(value, Finding):
        return plain
    comparison = plain.get("comparison", plain)
    distances = np.asarray(comparison.pop("distances"))
    comparison["lines_in_both"] = len(distances)
    comparison["largest_distance"] = float(distances.max()) if len(distances) else None
    comparison["share_within_1_cm"] = float((distances <= TIGHT).mean()) if len(distances) else None
    for difference in comparison["differences"]:
        difference["distance"] = difference["distance"] if np.isfinite(difference["distance"]) else None
    return plain


def save(path: Path | None, found: dict[str, Any]) -> None:
    """Write findings as JSON where a file was asked for; see :func:`mapllava.files.write_json`."""
    if path is not None:
        write_json(path, found)


def _apart(first: Any, second: Any) -> tuple[Any, Any]:
    """Two values; of two dicts the keys whose values differ, of two lists of names those that one has."""
    if isinstance(first, dict) and isinstance(second, dict):
        mine = [key for key in first if second.get(key) != first[key]]
        theirs = [key for key in second if first.get(key) != second[key]]
        return ", ".join(map(str, mine)), ", ".join(map(str, theirs))
    if all(isinstance(value, list) and all(isinstance(v, str) for v in value) for value in (first, second)):
        return _only_here(first, second), _only_here(second, first)
    return first, second


def _only_here(names: list[str], others: list[str]) -> str:
    own = [name for name in names if name not in set(others)]
    return f"{len(own)} only here: {', '.join(own)}" if own else "none only here"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
