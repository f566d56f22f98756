"""Scores, evaluations and comparisons: as metric names, as tables for people, as plain values for a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mapllava.evaluation.scoring import Comparison, Evaluation


def metric_values(score: Mapping[str, Any]) -> dict[str, float]:
    """Flat names for a score: ``mAP``, ``AP_<class>`` and ``AP_<class>@<threshold>``.

    Args:
        score: What :func:`chamfer_average_precision` returns.

    Returns:
        Name to value in [0, 1].
    """
    values = {"mAP": score["mAP"]}
    for index, name in enumerate(score["class_names"]):
        values[f"AP_{name}"] = float(np.mean(score["ap"][:, index]))
    for row, threshold in zip(score["ap"], score["thresholds"], strict=True):
        for name, value in zip(score["class_names"], row, strict=True):
            values[f"AP_{name}@{threshold:g}"] = float(value)
    return values


def score_table(
    score: Mapping[str, Any],
    split: str,
    what: str = "Chamfer AP",
    interval: Mapping[str, np.ndarray] | None = None,
) -> str:
    """The score as a text table, in percent, titled with split and protocol.

    A class that has no ground truth counts 0 in the mean and is marked as such.

    Args:
        score: What :func:`chamfer_average_precision` returns.
        split: The split that the samples come from, with its version.
        what: First words of the title.
        interval: 95 % intervals of :meth:`Evaluation.interval`, e.g. ``mAP`` (2,); None leaves them out.

    Returns:
        Several lines of text, the first of them the title.
    """
    thresholds = [f"{t:g} m" for t in score["thresholds"]]
    headings = ["class", "GT", "predicted", *(f"AP@{t}" for t in thresholds), "AP"]
    rows = []
    for index, name in enumerate(score["class_names"]):
        ap, num_gt = score["ap"][:, index], int(score["num_gt"][index])
        label = name if num_gt else f"{name} (no ground truth: counts 0)"
        cells = [f"{100 * v:.1f}" for v in (*ap, ap.mean())]
        rows.append([label, f"{num_gt}", f"{int(score['num_pred'][index])}", *cells])
    means = [f"{100 * v:.1f}" for v in (*score["ap"].mean(axis=1), score["mAP"])]
    total_gt, total_pred = int(sum(score["num_gt"])), int(sum(score["num_pred"]))
    last = ["mAP", f"{total_gt}", f"{total_pred}", *means]
    if interval is not None:
        headings.append("95 % interval")
        for row, ends in zip([*rows, last], [*interval["classes"].T, interval["mAP"]], strict=True):
            row.append(f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}")
    title = (
        f"{what} in %: split {split}, protocol {score['protocol']} ({', '.join(thresholds)}), "
        f"{score['num_samples']} samples, {total_gt} ground-truth lines"
    )
    return f"{title}\n{text_table(headings, rows, last)}"


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], last: Sequence[str] = ()) -> str:
    """A table as text, its first column to the left and the others to the right.

    Args:
        headings: Of the columns.
        rows: Cells.
        last: A row below a line; empty for none.
    """
    table = Table()
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    if last:
        table.add_section()
        table.add_row(*last)
    console = Console(file=StringIO(), width=160, color_system=None)
    with console.capture() as text:
        console.print(table)
    return text.get().rstrip()


def evaluation_text(evaluation: Evaluation) -> str:
    """The score's table and those of the further measures.

    Returns:
        Text of several tables, each titled; numbers in percent, distances in metres.
    """
    maps = evaluation.maps
    what = f"{evaluation.name}: Chamfer AP"
    parts = [score_table(evaluation.score, maps.data, what, evaluation.interval())]
    if evaluation.draws_ap is not None:
        parts[0] += (
            f"\n95 % intervals: bootstrap of {len(evaluation.draws_ap)} draws over {len(maps.scenes)} scenes"
        )
    if maps.num_missing:
        parts[0] += f"\n{told_missing(maps.num_missing, len(maps.predictions))}"
    tables = {"chamfer": _chamfer, "f1": _f1, "ece": _ece, "iou": _iou}
    parts += [tables[name](evaluation, values) for name, values in evaluation.measures.items()]
    return "\n\n".join(parts)


def told_missing(missing: int, samples: int) -> str:
    """How many of the samples count as empty maps."""
    return f"{missing} of {samples} samples have no prediction: empty maps"


def comparison_text(comparison: Comparison) -> str:
    """Differences of AP with their intervals, and the verdict.

    Returns:
        A titled table and a sentence.
    """
    first, second = comparison.first, comparison.second
    score, ap = second.score, comparison.ap
    headings = ["class", *(f"AP@{t:g} m" for t in score["thresholds"]), "AP"]
    rows = [[name, *(_signed(v) for v in (*column, column.mean()))] for name, column in _columns(score, ap)]
    last = ["mAP", *(_signed(v) for v in (*ap.mean(axis=1), ap.mean()))]
    if comparison.interval is not None:
        headings.append("95 % interval")
        ends = [*comparison.interval["classes"].T, comparison.interval["mAP"]]
        for row, (low, high) in zip([*rows, last], ends, strict=True):
            row.append(f"{_signed(low)} to {_signed(high)}")
    title = (
        f"{second.name} minus {first.name}, Chamfer AP in %: split {second.maps.data}, protocol "
        f"{score['protocol']}, {score['num_samples']} samples of {len(second.maps.scenes)} scenes"
    )
    return f"{title}\n{text_table(headings, rows, last)}\n{comparison.verdict}"


def evaluation_values(evaluation: Evaluation) -> dict[str, Any]:
    """Everything of an evaluation as builtins; what is not a number becomes None."""
    maps = evaluation.maps
    return _plain(
        {
            "name": evaluation.name,
            "split": maps.split,
            "version": maps.version,
            "map_spec": maps.spec.to_config(),
            "scenes": maps.scenes,
            "num_missing": maps.num_missing,
            **evaluation.score,
            "interval_95": evaluation.interval(),
            "num_draws": 0 if evaluation.draws_ap is None else len(evaluation.draws_ap),
            "measures": evaluation.measures,
        }
    )


def comparison_values(comparison: Comparison) -> dict[str, Any]:
    """Both evaluations, their difference, its intervals and the verdict, as builtins."""
    return _plain(
        {
            "first": evaluation_values(comparison.first),
            "second": evaluation_values(comparison.second),
            "difference": {"ap": comparison.ap, "mAP": comparison.ap.mean()},
            "interval_95": comparison.interval,
            "verdict": comparison.verdict,
        }
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _signed(value: float) -> str:
    return f"{100 * value:+.2f}"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"


def _columns(score: Mapping[str, Any], values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return list(zip(score["class_names"], np.asarray(values).T, strict=True))


def _headings(evaluation: Evaluation) -> list[str]:
    return ["class", *(f"{t:g} m" for t in evaluation.score["thresholds"])]


def _chamfer(evaluation: Evaluation, values: Mapping[str, Any]) -> str:
    rows = [
        [name, *("-" if np.isnan(v) else f"{v:.3f} ({n})" for v, n in zip(mean, count, strict=True))]
        for (name, mean), count in zip(
            _columns(evaluation.score, values["mean"]), values["count"].T, strict=True
        )
    ]
    title = "Chamfer distance of matched pairs: mean in metres (pairs)"
    return f"{title}\n{text_table(_headings(evaluation), rows)}"


def _f1(evaluation: Evaluation, values: Mapping[str, Any]) -> str:
    rows = []
    for index, name in enumerate(evaluation.score["class_names"]):
        f1, precision, recall, score = (values[k][:, index] for k in ("f1", "precision", "recall", "score"))
        cells = [
            "-" if np.isnan(s) else f"{_percent(f)} ({_percent(p)}, {_percent(r)}, {s:.3f})"
            for f, p, r, s in zip(f1, precision, recall, score, strict=True)
        ]
        rows.append([name, *cells])
    title = "Best F1 in % (precision, recall, score from which it is reached)"
    return f"{title}\n{text_table(_headings(evaluation), rows)}"


def _ece(evaluation: Evaluation, values: Mapping[str, Any]) -> str:
    rows = [
        [name, *(_percent(v) for v in column)] for name, column in _columns(evaluation.score, values["ece"])
    ]
    errors = text_table(_headings(evaluation), rows, ["all", *(_percent(v) for v in values["all"])])
    edges = values["edges"]
    found = [f"found@{t:g} m" for t in evaluation.score["thresholds"]]
    bins = [
        [f"{low:g} to {high:g}", f"{count}", _percent(mean), *(_percent(v) for v in share)]
        for low, high, count, mean, share in zip(
            edges[:-1], edges[1:], values["count"], values["mean_score"], values["share_found"].T, strict=True
        )
    ]
    title = "Expected calibration error of the scores in %, and the bins of all classes"
    return f"{title}\n{errors}\n{text_table(['score', 'predicted', 'mean score', *found], bins)}"


def _iou(evaluation: Evaluation, values: Mapping[str, Any]) -> str:
    rows = [
        [name, _percent(iou), "-" if np.isnan(score) else f"{score:.3f}"]
        for name, iou, score in zip(
            evaluation.score["class_names"], values["iou"], values["min_scores"], strict=True
        )
    ]
    title = (
        f"Raster IoU in %: lines {values['width']:g} m wide on cells of {values['cell']:g} m, predictions "
        "from the score of the best F1 at the largest threshold"
    )
    return (
        f"{title}\n{text_table(['class', 'IoU', 'score from'], rows, ['mean', _percent(values['mean']), ''])}"
    )
