"""Plans as tables for a reader and as values for a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mapllava.analysis.cost.memory_plan import CUDA_CONTEXT, GIB, PHASES, SLACK, USABLE, Plan, PlanOptions
from mapllava.analysis.cost.model_parts import Part
from mapllava.analysis.cost.step_recorder import OUTSIDE

NOTES = (
    "GiB are 2^30 bytes. 'allocated' compares with torch.cuda.max_memory_allocated(); the total adds a CUDA "
    f"context of {CUDA_CONTEXT / GIB:.1f} GiB and {SLACK:.0%} of gradients and activations for "
    f"fragmentation, both assumed, and {1 - USABLE:.0%} of the card stay free. Activations are counted "
    "operator by operator, without the operators' own scratch memory. Quantised weights and FSDP2 are "
    "arithmetic; FSDP2 exchanges gradients with every batch."
)


def plan_report(
    parts: Sequence[Part], plans: Sequence[Plan], chosen: Plan | None, options: PlanOptions
) -> Group:
    """Tables of parameters, arithmetic and combinations, and the choice in words."""
    shown = chosen or plans[0]
    return Group(
        _parameters(parts),
        _arithmetic(shown),
        _combinations(plans, chosen, options),
        _memory(shown),
        Text(NOTES, style="dim"),
        Text(advice(chosen, options)),
    )


def advice(chosen: Plan | None, options: PlanOptions) -> str:
    """What to set in the config."""
    if chosen is None:
        return (
            f"Nothing fits {options.gpu_memory:g} GiB on {options.gpus} GPU(s): try a smaller --batch, fewer "
            "scene tokens (model.neck.num_queries) or map queries (InstanceMapQueries), more --gpus for a "
            "full fine-tune, or larger ones."
        )
    strategy = chosen.strategy
    if strategy == "FSDP2":
        strategy += " (configs/_base_/sharding/fsdp2.py with defer_reduction=False)"
    words = [f"{strategy}, train_dataloader.batch_size={chosen.batch}"]
    words.append(f"optim_wrapper.accumulative_counts={chosen.accumulation}")
    if chosen.checkpointing != "as configured":
        words.append(f"gradient_checkpointing={chosen.checkpointing == 'on'} in every part that takes it")
    if chosen.weights != "as configured":
        words.append("quantization=dict(bits=4) in the frozen parts")
    return f"Choose: {'; '.join(words)}: {chosen.total / GIB:.1f} of {options.gpu_memory:g} GiB."


def plan_values(
    config: str, parts: Sequence[Part], plans: Sequence[Plan], chosen: Plan | None, options: PlanOptions
) -> dict[str, Any]:
    """Everything as JSON values: bytes, and floating-point operations per sample."""
    return {
        "config": config,
        "gpus": options.gpus,
        "gpu_memory_gib": options.gpu_memory,
        "total_batch": options.total_batch,
        "parameters": [vars(part) for part in parts],
        "assumed": {"cuda_context_bytes": CUDA_CONTEXT, "fragmentation": SLACK, "usable": USABLE},
        "plans": [_values(plan) for plan in plans],
        "chosen": None if chosen is None else list(plans).index(chosen),
    }


def _values(plan: Plan) -> dict[str, Any]:
    flops: dict[str, dict[str, float]] = {phase: {} for phase in PHASES}
    for (phase, part), count in plan.flops.items():
        flops[phase][part] = count
    return {**vars(plan), "flops": flops, "model_flops": plan.flops_of("forward", "backward")}


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def _parameters(parts: Sequence[Part]) -> Table:
    table = _table("Parameters", ("part", "millions", "trainable", "GiB"))
    whole = Part(
        "total",
        sum(part.total for part in parts),
        sum(part.trainable for part in parts),
        sum(part.weight_bytes for part in parts),
    )
    for part in (*parts, whole):
        counts = (f"{count / 1e6:.1f}" for count in (part.total, part.trainable))
        table.add_row(part.name, *counts, f"{part.weight_bytes / GIB:.2f}")
    return table


def _arithmetic(plan: Plan) -> Table:
    title = "TFLOP per sample (a multiply-add counts 2; 'model' leaves recomputation out)"
    table = _table(title, ("part", *PHASES, "model"))
    names = list(dict.fromkeys(part for _, part in plan.flops))
    for name in [*sorted(names, key=lambda part: part == OUTSIDE), "total"]:
        counts = [
            sum(n for (phase, part), n in plan.flops.items() if phase == wanted and name in (part, "total"))
            for wanted in PHASES
        ]
        table.add_row(name, *(f"{count / 1e12:.3f}" for count in (*counts, counts[0] + counts[2])))
    return table


def _combinations(plans: Sequence[Plan], chosen: Plan | None, options: PlanOptions) -> Table:
    title = (
        f"Combinations on {options.gpus} GPU(s) of {options.gpu_memory:g} GiB, "
        f"{options.total_batch} samples an update"
    )
    columns = ("strategy", "weights", "checkpointing", "batch", "accumulation", "allocated", "total GiB", "")
    table = _table(title, columns)
    for plan in plans:
        table.add_row(
            plan.strategy,
            plan.weights,
            plan.checkpointing,
            str(plan.batch),
            str(plan.accumulation),
            f"{plan.allocated / GIB:.2f}",
            f"{plan.total / GIB:.2f}",
            "chosen" if plan is chosen else "fits" if plan.fits else "does not fit",
            style="bold green" if plan is chosen else None if plan.fits else "dim",
        )
    return table


def _memory(plan: Plan) -> Table:
    title = f"Memory at batch {plan.batch}: {plan.strategy}, weights {plan.weights}, "
    table = _table(f"{title}checkpointing {plan.checkpointing}", ("for", "GiB"))
    for name, size in (*plan.memory.items(), ("total", plan.total)):
        table.add_row(name, f"{size / GIB:.2f}")
    return table
