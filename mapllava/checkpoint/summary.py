"""Where each of a model's tensors came from, in one table at start-up."""

from __future__ import annotations

from collections import Counter

from torch import nn

from mapllava.checkpoint.fit import is_below
from mapllava.checkpoint.loading import LoadReport

_LORA = "lora_"  # in the names of peft's parameters, which live inside the loaded module


def weight_summary(model: nn.Module) -> str:
    """A table with a line per part of the model: tensors loaded, interpolated and new.

    Loaded are those of modules with a :class:`LoadReport` in their attribute ``load_report``;
    interpolated are those among them that are fitted to the size of the images; new are the
    parameters that start here, named by where they are.

    Args:
        model: the unwrapped model; its children are the parts.

    Returns:
        the table, or an empty text if nothing in the model is pretrained.
    """
    reports = {path: module.load_report for path, module in model.named_modules() if _loaded(module)}
    if not reports:
        return ""
    rows = [("weights of", "loaded", "interpolated", "new", "")]
    for part, child in model.named_children():
        within = [report for path, report in reports.items() if is_below(path, part)]
        names = [f"{part}.{name}" for name, _ in child.named_parameters()]
        new = [name for name in names if _LORA in name or not any(is_below(name, path) for path in reports)]
        if not names:
            continue
        loaded = sum(len(report.loaded) for report in within)
        interpolated = sum(len(report.interpolated) for report in within)
        where = Counter(name.removeprefix(f"{part}.").split(".")[0] for name in new) if within else {}
        listed = ", ".join(f"{name} ({count})" for name, count in where.items())
        rows.append((part, str(loaded), str(interpolated), str(len(new)), listed))
    width = max(len(row[0]) for row in rows)
    return "\n".join(
        f"{part:{width}}  {loaded:>6}  {interpolated:>12}  {new:>5}  {listed}".rstrip()
        for part, loaded, interpolated, new, listed in rows
    )


def _loaded(module: nn.Module) -> bool:
    return isinstance(getattr(module, "load_report", None), LoadReport)
