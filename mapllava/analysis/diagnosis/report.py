"""A diagnosis as tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mapllava.evaluation.report import text_table
from mapllava.finding import WARN, Finding

_SAME_INPUT = 1e-3  # share of the mean square below which tokens count as the same whatever the cameras see
_NOTHING = 0.02  # mAP below which no ablation can tell anything
_ALIKE = 0.99  # mean cosine from which tokens count as one
_SPREAD = 0.9  # of the patches in reach: attention that prefers none


def diagnosis_text(found: Mapping[str, Any]) -> str:
    """Tables of everything that was found, and what stands out, as text.

    Args:
        found: What :meth:`Diagnosis.run` returns.
    """
    trained = found["trained"]
    epoch = f", epoch {trained['epoch']}" if "epoch" in trained else ""
    parts = " -> ".join(found["parts"].values())
    blocks = [
        f"{found['checkpoint']}{epoch}\n{parts}\n"
        f"split {found['split']}: {found['samples']} samples of {found['scenes']} scenes, "
        f"seed {found['seed']}"
    ]
    blocks += [table(found) for section, table in _TABLES.items() if section in found]
    said = [finding.reason for finding in findings(found)]
    for title, lines in (("Notes", found["notes"]), ("What stands out", said)):
        if lines:
            blocks.append("\n".join([f"{title}:", *(f"  - {line}" for line in lines)]))
    return "\n\n".join(blocks)


def findings(found: Mapping[str, Any]) -> list[Finding]:
    """What is unusual, by section; nothing where nothing is."""
    return [
        Finding(section, WARN, sentence)
        for section, say in _SAYS.items()
        if section in found
        for sentence in say(found[section])
    ]


def _points(value: float) -> float:
    """Points of mAP as they are printed, zero without a sign of its own."""
    return round(100 * value, 1) + 0.0


def _ablations(found: Mapping[str, Any]) -> str:
    scores = found["ablations"]
    rows = []
    for row in scores["ablations"]:
        ends = row["interval"]
        interval = "-" if ends is None else f"{100 * ends[0]:+.1f} to {100 * ends[1]:+.1f}"
        rows.append(
            [
                f"{row['name']}: {row['what']}",
                f"{100 * row['mAP']:.1f}",
                f"{100 * row['cost']:+.1f}",
                interval,
            ]
        )
    title = (
        f"Ablations, Chamfer AP in %: split {scores['split']}, protocol {scores['protocol']}, "
        f"{scores['samples']} samples, mAP {100 * scores['mAP']:.1f} as it is"
    )
    return f"{title}\n{text_table(['taken away', 'mAP', 'costs', '95 % interval'], rows)}"


def _attention(found: Mapping[str, Any]) -> str:
    seen = found["attention"]
    rows = [
        [name, f"{100 * share:.1f}", f"{100 * even:.1f}"]
        for name, share, even in zip(seen["cameras"], seen["share"], seen["even"], strict=True)
    ]
    title = (
        f"Cross-attention of the neck per camera, in % (a query reads {seen['patches_read']:.1f} of "
        f"{seen['patches_in_reach']:.1f} patches in reach)"
    )
    return f"{title}\n{text_table(['camera', 'share', 'if spread evenly over the patches in reach'], rows)}"


def _rank(found: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{row['name']} ({row['tokens']} x {row['channels']})",
            f"{row['effective_rank']:.1f}",
            f"{row['largest_rank']}",
            f"{row['mean_cosine']:.4f}",
            "-" if row["varies_with_input"] is None else f"{100 * row['varies_with_input']:.2g} %",
        ]
        for row in found["rank"]
    ]
    headings = ["tokens", "effective rank", "largest possible", "mean pairwise cosine", "varies with input"]
    return f"Rank and diversity, means over samples\n{text_table(headings, rows)}"


def _probes(found: Mapping[str, Any]) -> str:
    rows = []
    for row in found["probes"]:
        accuracy = "-" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f} %"
        majority = "-" if row["majority"] is None else f"{100 * row['majority']:.1f} %"
        presence = f"{100 * row['share']:.0f} %"
        count = "-" if row["r2"] is None else f"{row['r2']:+.2f}"
        rows.append([row["class"], f"{row['mean_count']:.2f}", count, presence, accuracy, majority])
    headings = ["class", "lines per sample", "count: R2", "present in", "presence: accuracy", "majority"]
    title = (
        f"Linear probes on frozen scene tokens, held out by scene, {found['samples']} samples "
        "(R2: 1 perfect, 0 no better than the mean; -: nothing to tell apart, or one scene)"
    )
    return f"{title}\n{text_table(headings, rows)}"


def _gradient(found: Mapping[str, Any]) -> str:
    depth = found["gradient"]
    references = depth["on_references"] or [None] * len(depth["loss"])
    rows = [
        [
            "the decoder's own" if index == 0 else f"refinement {index}",
            f"{depth['loss'][index]:.3f}",
            f"{depth['on_queries'][index]:.4g}",
            f"{depth['on_points'][index]:.4g}",
            "-" if references[index] is None else f"{references[index]:.4g}",
        ]
        for index in range(len(depth["loss"]))
    ]
    growth = depth["growth"]
    verdict = "" if growth is None else f": x {growth:.2f} per layer on the queries"
    headings = ["layer", "loss", "on the decoded queries", "on its points", "on the learned references"]
    return f"Gradient norm of each layer's loss{verdict}\n{text_table(headings, rows)}"


def _ablations_say(scores: Mapping[str, Any]) -> Iterator[str]:
    if scores["mAP"] < _NOTHING:
        yield f"mAP is {100 * scores['mAP']:.1f}: a model that finds nothing has nothing to lose"
        return
    for row in scores["ablations"]:
        if row["interval"] is None or row["interval"][0] > 0:
            continue
        ends = " to ".join(f"{_points(end):+.1f}" for end in row["interval"])
        unsure = f"nothing shows on {scores['samples']} samples that the model uses what it takes away"
        told = unsure if row["interval"][1] >= 0 else "the model is better without what it takes away"
        yield f"{row['name']} costs {_points(row['cost']):+.1f} mAP (95 %: {ends}): {told}"


def _attention_say(seen: Mapping[str, Any]) -> Iterator[str]:
    if seen["patches_in_reach"] > 1 and seen["patches_read"] > _SPREAD * seen["patches_in_reach"]:
        yield "cross-attention is spread evenly over all patches in reach: queries read averages"


def _rank_say(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row["varies_with_input"] is not None and row["varies_with_input"] < _SAME_INPUT:
            yield (
                f"{row['name']} hardly change with what the cameras see "
                f"({100 * row['varies_with_input']:.1g} % of their mean square)"
            )
        if row["tokens"] > 1 and row["mean_cosine"] > _ALIKE:
            yield f"{row['name']} are nearly one and the same vector (mean cosine {row['mean_cosine']:.4f})"


def _gradient_say(depth: Mapping[str, Any]) -> Iterator[str]:
    if depth["grows"]:
        yield (
            f"the gradient on the queries grows x {depth['growth']:.2f} with each layer: are references "
            "detached between layers?"
        )
    leaking = [index for index, norm in enumerate((depth["on_references"] or [])[1:], 1) if norm > 0]
    if leaking:
        yield f"the losses of layers {leaking} reach the learned references: they are not detached"


_TABLES = {
    "ablations": _ablations,
    "attention": _attention,
    "rank": _rank,
    "probes": _probes,
    "gradient": _gradient,
}
_SAYS: dict[str, Any] = {
    "ablations": _ablations_say,
    "attention": _attention_say,
    "rank": _rank_say,
    "gradient": _gradient_say,
}
