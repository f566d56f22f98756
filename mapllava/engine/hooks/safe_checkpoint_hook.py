"""Checkpoints that hold only what trains, load without pickled classes, and are checked on load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mapllava.checkpoint.base_weights import base_weight_modules, reloadable_keys
from mapllava.checkpoint.model_file import FORMAT_VERSION
from mapllava.checkpoint.model_loader import check_trained
from mapllava.checkpoint.plain_state import make_plain, restore_message_hub
from mapllava.checkpoint.self_description import describe_model
from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.engine.hooks.warmup_ema_hook import WarmupEMAHook
from mapllava.engine.runner.run_state import built_loops, is_resumed
from mapllava.registry import HOOKS


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Rewrites checkpoints on their way out and verifies them on their way in.

    Out: everything becomes tensors and plain values (``torch.load(weights_only=True)`` reads the
    file), frozen pretrained weights are left out and described in ``meta['base_weights']``, and config,
    prompt and the map's frame, ROI and classes go along (:mod:`mapllava.checkpoint.model_file`). In:
    the message hub is rebuilt, frame and classes must be the config's, the base weights and the prompt's ids
    those of the training, and every weight that the constructor has not loaded must be in the file.

    Args:
        allow_missing: Module paths that a ``load_from`` (not a resume) may leave as they were built,
            for instance ``['decoder']`` when a later stage adds adapters to it.
        allow_unexpected: Module paths whose weights in the file may have no place in the model.
    """

    priority = "LOWEST"  # after hooks that add their state on saving

    def __init__(self, allow_missing: Sequence[str] = (), allow_unexpected: Sequence[str] = ()) -> None:
        self.allow_missing = tuple(allow_missing)
        self.allow_unexpected = tuple(allow_unexpected)
        self._description: dict[str, Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Describe model and config now, so that what cannot be saved is known before the first step.

        Raises:
            MapLLaVAError: If the config holds what is no plain value.
        """
        self._description = {
            **describe_model(unwrap_model(runner.model), runner.cfg),
            "cameras": _cameras(runner.train_loop.dataloader.dataset),
        }

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drop frozen pretrained weights, describe them, and make everything plain.

        Raises:
            MapLLaVAError: If something in the checkpoint cannot be made plain; names it.
        """
        model = unwrap_model(runner.model)
        roots = base_weight_modules(model, runner.cfg.get("model"))
        dropped = reloadable_keys(model, roots)
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {key: value for key, value in state.items() if key not in dropped}
        meta = checkpoint["meta"]
        if self._description is None:
            self.before_train(runner)
        meta.update(self._description or {}, format_version=FORMAT_VERSION, base_weights=roots)
        make_plain(checkpoint)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Verify the weights and rebuild what MMEngine expects.

        Raises:
            MapLLaVAError: If frame, classes or the prompt's ids differ, or weights are missing, unexpected
                or of another shape; lists them.
        """
        restore_message_hub(checkpoint)
        state = checkpoint.get("state_dict", checkpoint)
        resuming = is_resumed(runner)
        if resuming and not any(isinstance(hook, WarmupEMAHook) for hook in runner.hooks):
            trained = checkpoint.get("ema_state_dict", {})  # the weights; without the hook no average goes on
            state.update({key: value for key, value in trained.items() if key in state})
        model = unwrap_model(runner.model)
        for warning in check_trained(
            model,
            runner.cfg,
            checkpoint,
            allow_missing=() if resuming else self.allow_missing,
            allow_unexpected=self.allow_unexpected,
            same_precision=resuming,
            same_roi=resuming or "train" not in built_loops(runner),
        ):
            runner.logger.warning(warning)
        for metric in getattr(getattr(built_loops(runner).get("test"), "evaluator", None), "metrics", ()):
            if hasattr(metric, "model_display"):  # a test shows what the model's own thresholds let through
                metric.model_display = checkpoint.get("meta", {}).get("display")
        left = len(set(model.state_dict()) - set(state))
        runner.logger.info(
            f"Checkpoint: {len(state)} tensors loaded, {left} stay as the model was built with them"
        )


def _cameras(dataset: Any) -> list[str] | None:
    """Names of the first sample's cameras in their order, where the data set has such."""
    look_up = getattr(dataset, "get_data_info", None)
    names = look_up(0).get("cam_names") if look_up is not None and len(dataset) else None
    return None if names is None else [str(name) for name in names]
