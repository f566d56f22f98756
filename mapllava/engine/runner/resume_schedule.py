"""The optimiser's groups and schedules of a run that goes on with a config of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.optim import OptimWrapper, _ParamScheduler
from torch.optim import Optimizer

from mapllava.errors import MapLLaVAError

_SHAPED = ("exp_avg", "momentum", "momentum_buffer")  # state of an optimiser that has its parameter's shape


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
    schedulers: Sequence[_ParamScheduler],
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


def _step(schedulers: Sequence[_ParamScheduler], by_epoch: bool) -> None:
    for scheduler in schedulers:
        if scheduler.by_epoch == by_epoch:
            scheduler.step()


def _listed(groups: Sequence[tuple[str | None, int]]) -> str:
    return ", ".join(f"{name or number}: {count}" for number, (name, count) in enumerate(groups))
