"""Checkpoints that hold only what trains, load without pickled classes, and are checked on load."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mapllava.engine.bare_model import bare_model
from mapllava.engine.base_weights import base_weight_modules, reloadable_keys
from mapllava.engine.plain_state import restore_message_hub, to_plain
from mapllava.errors import MapLLaVAError
from mapllava.registry import HOOKS

FORMAT_VERSION = 1
_SHOWN = 12


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Rewrites checkpoints on their way out and verifies them on their way in.

    Out: everything becomes tensors and plain values (``torch.load(weights_only=True)`` reads the
    file), frozen pretrained weights are left out and described in ``meta['base_weights']``, and the
    map's frame, ROI and classes go along. In: the message hub is rebuilt, frame and classes must be
    the config's, and every weight that the constructor has not loaded must be in the file.

    Args:
        allow_missing: Module paths that a ``load_from`` (not a resume) may leave as they were built,
            for instance ``['decoder']`` when a later stage adds adapters to it.
        allow_unexpected: Module paths whose weights in the file may have no place in the model.
    """

    priority = "LOWEST"  # after hooks that add their state on saving

    def __init__(self, allow_missing: Sequence[str] = (), allow_unexpected: Sequence[str] = ()) -> None:
        self.allow_missing = tuple(allow_missing)
        self.allow_unexpected = tuple(allow_unexpected)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drop frozen pretrained weights, describe them, and make everything plain.

        Raises:
            MapLLaVAError: If something in the checkpoint cannot be made plain; names it.
        """
        model = bare_model(runner.model)
        roots = base_weight_modules(model, runner.cfg.get("model"))
        dropped = reloadable_keys(model, roots)
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {key: value for key, value in state.items() if key not in dropped}
        meta = checkpoint["meta"]
        meta.update(format_version=FORMAT_VERSION, base_weights=roots)
        if runner.cfg.get("map_spec") is not None:
            meta["map_spec"] = dict(runner.cfg.map_spec)
        for key in list(checkpoint):
            checkpoint[key] = to_plain(checkpoint[key], key)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Verify the weights and rebuild what MMEngine expects.

        Raises:
            MapLLaVAError: If frame or classes differ, or weights are missing, unexpected or of
                another shape; lists them.
        """
        if "message_hub" in checkpoint:
            checkpoint["message_hub"] = restore_message_hub(checkpoint["message_hub"])
        _check_map_spec(checkpoint.get("meta", {}), runner)
        state = checkpoint.get("state_dict", checkpoint)
        model = bare_model(runner.model)
        expected = model.state_dict()
        reloaded = reloadable_keys(model, base_weight_modules(model, runner.cfg.get("model")))
        resuming = bool(getattr(runner, "_resume", False))
        missing = [key for key in expected if key not in state and key not in reloaded]
        if not resuming:
            missing = _outside(missing, self.allow_missing)
        unexpected = _outside([key for key in state if key not in expected], self.allow_unexpected)
        shapes = _other_shapes(state, expected)
        if missing or unexpected or shapes:
            raise MapLLaVAError(_report(missing, unexpected, shapes))
        left = len(set(expected) - set(state))
        runner.logger.info(
            f"Checkpoint: {len(state)} tensors loaded, {left} stay as the model was built with them"
        )


def _outside(keys: Iterable[str], prefixes: Sequence[str]) -> list[str]:
    return [key for key in keys if not any(key.startswith(f"{prefix}.") for prefix in prefixes)]


def _other_shapes(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{key}: {tuple(state[key].shape)} in the file, {tuple(value.shape)} in the model"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]


def _check_map_spec(meta: Mapping[str, Any], runner: Runner) -> None:
    saved, wanted = meta.get("map_spec"), runner.cfg.get("map_spec")
    if saved is None or wanted is None:
        return
    for key in ("frame", "classes"):
        theirs, ours = saved[key], wanted[key]
        if (theirs if isinstance(theirs, str) else list(theirs)) != (
            ours if isinstance(ours, str) else list(ours)
        ):
            raise MapLLaVAError(
                f"the checkpoint was trained with map_spec.{key} = {theirs}, the config says {ours}: "
                "use the run folder's own config, or train anew"
            )
    if list(saved["roi"]) != list(wanted["roi"]):
        runner.logger.warning(
            f"the checkpoint was trained on ROI {saved['roi']}, this run uses {wanted['roi']}"
        )


def _report(missing: list[str], unexpected: list[str], shapes: list[str]) -> str:
    lines = ["the checkpoint does not fit the model; is it another config's?"]
    for title, entries in (
        ("missing in the file", missing),
        ("in the file but not in the model", unexpected),
        ("of another shape", shapes),
    ):
        if entries:
            more = f" … and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
            lines.append(f"  {title} ({len(entries)}): {', '.join(entries[:_SHOWN])}{more}")
    return "\n".join(lines)
