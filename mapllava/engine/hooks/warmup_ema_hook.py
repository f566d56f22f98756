"""Averages the weights of a run, validates with the average and saves it."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mapllava.engine.distributed.sharding import gather
from mapllava.engine.optim.weight_average import WeightAverage
from mapllava.engine.runner.run_state import is_resumed
from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS

AVERAGE, RAW_WEIGHTS = "average", "raw"
"""What a best model's record calls the weights that were chosen."""
RAW = "raw/"
"""Before the names of metrics of the weights in training, where the others are of their average."""


@HOOKS.register_module()
class WarmupEMAHook(Hook):
    """Keeps a :class:`WeightAverage`; a checkpoint's ``state_dict`` is the average, ready to be used.

    Where the optimiser's state is saved too, ``ema_state_dict`` holds the weights that training goes on
    with. Only a best model whose raw weights scored higher (``meta.best.weights`` is ``raw``) holds these
    instead.

    Args:
        decay: The share kept in the long run, in (0, 1).
        warmup: The larger, the longer the average stays close to the current weights; at least 1.

    Raises:
        MapLLaVAError: If an argument is out of range.
    """

    priority = "NORMAL"

    def __init__(self, decay: float = 0.998, warmup: int = 10) -> None:
        if not 0.0 < decay < 1.0 or warmup < 1:
            raise MapLLaVAError(
                f"WarmupEMAHook(decay={decay}, warmup={warmup}): needs 0 < decay < 1, warmup >= 1"
            )
        self.average = WeightAverage(decay, warmup)
        self._whole: dict[str, Tensor] = {}  # the average of a sharded model, gathered for a checkpoint

    def before_train(self, runner: Runner) -> None:
        """Start from the current weights, unless a checkpoint has brought an average."""
        self.average.start(runner.model)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None
    ) -> None:
        """Average after every update of the optimiser, not after every accumulated batch."""
        if runner.optim_wrapper.should_update() and not getattr(runner.optim_wrapper, "nonfinite", None):
            self.average.update()

    def before_val_epoch(self, runner: Runner) -> None:
        """Validate with the average."""
        self.average.swap(runner.model)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Go on with the weights in training."""
        self.average.swap(runner.model)

    def gather_checkpoint(self, runner: Runner) -> None:
        """Called in every process before a checkpoint of a sharded model."""
        self._whole = gather(self.average.values)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the average where a model's weights are looked for, and the weights aside."""
        average, self._whole = self._whole or self.average.values, {}
        if checkpoint.get("meta", {}).get("best", {}).get("weights") == RAW_WEIGHTS:
            return
        state = checkpoint["state_dict"]
        if "optimizer" in checkpoint and average:
            checkpoint["ema_state_dict"] = {name: state[name] for name in average}
            checkpoint["ema_updates"] = self.average.updates
        state.update({name: value.detach().cpu().clone() for name, value in average.items()})

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """On resume, take average and weights apart again; otherwise the average is what is used."""
        if not is_resumed(runner):
            return
        if "ema_state_dict" not in checkpoint:
            runner.logger.warning("the checkpoint has no average: it starts from the checkpoint's weights")
            return
        state, trained = checkpoint["state_dict"], checkpoint["ema_state_dict"]
        self.average.restore(runner.model, state, trained, int(checkpoint["ema_updates"]))
        state.update(trained)


def average_of(runner: Runner) -> WeightAverage | None:
    """The average of a run's weights, once there is one; None where there is none."""
    hooks = (hook for hook in runner.hooks if isinstance(hook, WarmupEMAHook))
    return next((hook.average for hook in hooks if hook.average.values), None)
