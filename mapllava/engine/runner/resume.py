"""Which checkpoint a run goes on from, and its groups and schedules with a config of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.optim import OptimWrapper
from torch.optim import Optimizer

from mapllava.checkpoint.checkpoint_loader import checkpoint_file
from mapllava.checkpoint.plain_file import read_plain
from mapllava.engine.hooks.run_checkpoint_hook import checkpoints
from mapllava.errors import MapLLaVAError

_SHAPED = ("exp_avg", "momentum", "momentum_buffer")  # state of an optimiser that has its parameter's shape


def resume_point(work_dir: str | Path, asked: str) -> Path | None:
    """The checkpoint to resume from.

    A checkpoint that was named must be whole. Of a run folder the newest whole one is taken, with a
    warning on stderr for each newer one that is damaged.

    Args:
        work_dir: The run folder.
        asked: ``auto``, or a checkpoint.

    Returns:
        Its path, or None where ``auto`` finds an empty run folder.

    Raises:
        MapLLaVAError: If the checkpoint that was named is missing or damaged, or all in the folder are.
    """
    if asked != "auto":
        path = checkpoint_file(asked, "--resume auto looks in the run folder")
        _check(path)
        return path
    damaged = []
    for path in reversed(checkpoints(work_dir)):
        try:
            _check(path)
        except MapLLaVAError as error:
            damaged.append(f"{error}")
            continue
        for line in damaged if os.environ.get("RANK", "0") == "0" else []:
            sys.stderr.write(f"warning: {line}\n")
        if damaged and os.environ.get("RANK", "0") == "0":
            sys.stderr.write(f"warning: resuming from the last good checkpoint instead, {path}\n")
        return path
    if damaged:
        raise MapLLaVAError(
            f"no checkpoint in '{work_dir}' can be read:\n  " + "\n  ".join(damaged) + "\n"
            "Restore one from a copy, or start anew without --resume in another --work-dir"
        )
    return None


def _check(path: Path) -> None:
    content = read_plain(path)
    wanted = ("state_dict", "optimizer", "message_hub", "meta")
    missing = [key for key in wanted if not isinstance(content, dict) or key not in content]
    if missing:
        raise MapLLaVAError(
            f"'{path}' cannot be resumed: it lacks {', '.join(missing)}. Take a checkpoint_epoch_N.pth of "
            "the run folder, or use the file's weights as a start: --cfg-options load_from=FILE"
        )


def check_groups(state: Mapping[str, Any], optimizer: Optimizer, source: str) -> None:
    """Make sure that an optimiser's state belongs to these parameters: PyTorch goes by their order alone.

    Args:
        state: The checkpoint's, of ``optimizer.state_dict()``.
        optimizer: The one that is about to load it.
        source: The checkpoint, for the message.

    Raises:
        MapLLaVAError: If groups have other names, or hold other parameters.
    """
    then = [(group.get("name"), len(group["params"])) for group in state["param_groups"]]
    now = [(group.get("name"), len(group["params"])) for group in optimizer.param_groups]
    if then != now:
        raise MapLLaVAError(
            f"'{source}' has the optimiser's state for other groups of parameters than optim_wrapper."
            f"paramwise_cfg makes now\n  then: {_listed(then)}\n  now:  {_listed(now)}\nSet it back, and "
            f"freeze what was frozen, or start a new run from its weights: --cfg-options load_from={source}"
        )
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, parameter in zip(numbers, parameters, strict=True):
        for key, value in state["state"].get(number, {}).items():
            if key in _SHAPED and value is not None and value.shape != parameter.shape:
                raise MapLLaVAError(
                    f"'{source}': the optimiser's {key} no. {number} is {tuple(value.shape)}, the parameter "
                    f"in its place {tuple(parameter.shape)}: the groups have another order now; "
                    f"start a new run from its weights, --cfg-options load_from={source}"
                )


def group_options(wrapper: OptimWrapper) -> list[dict[str, Any]]:
    """What every group has beside its parameters: learning rate, decay, what schedules start from."""
    return [{k: v for k, v in group.items() if k != "params"} for group in wrapper.param_groups]


def follow_config(
    wrapper: OptimWrapper,
    options: Sequence[Mapping[str, Any]],
    schedulers: Sequence[Any],
    updates: Sequence[int],
) -> None:
    """Bring groups and schedules to where a run with this config would be by now.

    Args:
        wrapper: Its optimiser has the checkpoint's state, which this leaves but for the groups' values.
        options: :func:`group_options` of the wrapper before that, when its schedules were just built.
        schedulers: The schedules, just built.
        updates: Updates of each epoch that is behind, then those of the one that is begun.

    Raises:
        MapLLaVAError: If a schedule goes by scores, which are not known again.
    """
    for scheduler in schedulers:
        if getattr(scheduler, "need_val_args", False):
            raise MapLLaVAError(
                f"{type(scheduler).__name__} goes by the scores so far: it cannot be resumed with another "
                "optimiser, schedule, number of epochs or batch size; set these back, or start a new run "
                "from the checkpoint's weights with load_from"
            )
    for group, fresh in zip(wrapper.param_groups, options, strict=True):
        group.update(fresh)
    counted: Any = wrapper
    counted._global_step = sum(updates)  # schedules warn of an optimiser that has made no step
    for epoch, count in enumerate(updates):
        for _ in range(count):
            _step(schedulers, by_epoch=False)
        if epoch < len(updates) - 1:
            _step(schedulers, by_epoch=True)


def _step(schedulers: Sequence[Any], by_epoch: bool) -> None:
    for scheduler in schedulers:
        if scheduler.by_epoch == by_epoch:
            scheduler.step()


def _listed(groups: Sequence[tuple[str | None, int]]) -> str:
    return ", ".join(f"{name or number}: {count}" for number, (name, count) in enumerate(groups))
