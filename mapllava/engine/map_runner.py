"""MMEngine's runner, which also trains a sharded model and writes whole checkpoints of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mmengine.dist import broadcast
from mmengine.model import convert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mapllava.engine.base_weights import base_weight_modules, reloadable_keys
from mapllava.engine.fsdp2_wrapper import FSDP2Wrapper
from mapllava.engine.sharding import whole_state
from mapllava.registry import MODEL_WRAPPERS, RUNNERS


@RUNNERS.register_module()
class MapRunner(Runner):
    """A :class:`~mmengine.runner.Runner` for which ``model_wrapper_cfg`` may shard the model.

    A sharded model gets its initial weights before it is sharded. Its checkpoints are those of an
    unsharded one: gathered, written by the main process, resumable with any number of processes,
    sharded or not. Before gathering, hooks that have a method ``gather_checkpoint(runner)`` are
    called in every process, to gather sharded tensors of their own.
    """

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model; one that will be sharded never lies on one device as a whole."""
        if not (self.distributed and _shards(model_wrapper_cfg)):
            return super().wrap_model(model_wrapper_cfg, model)
        if hasattr(model, "init_weights"):
            cast(Any, model).init_weights()
        for value in model.state_dict().values():
            broadcast(value)
        if self.cfg.get("sync_bn") is not None:
            model = convert_sync_batchnorm(model, self.cfg.sync_bn)
        return MODEL_WRAPPERS.build(model_wrapper_cfg, default_args={"module": model})

    def _init_model_weights(self) -> None:
        """Initial weights, unless sharding has needed them already."""
        if not isinstance(self.model, FSDP2Wrapper):
            super()._init_model_weights()

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: Mapping[str, Any] | None = None) -> None:
        """Scale learning rates by samples an update, processes and accumulated batches counted in.

        Args:
            optim_wrapper: Its groups' rates become ``lr * samples / base_batch_size``.
            auto_scale_lr: ``base_batch_size``, the samples an update that the config's rates are for,
                and ``enable``.
        """
        if not auto_scale_lr or not auto_scale_lr.get("enable"):
            return
        batches, base = optim_wrapper._accumulative_counts, auto_scale_lr["base_batch_size"]
        super().scale_lr(optim_wrapper, {"base_batch_size": base / batches, "enable": True})
        size = self._train_dataloader["batch_size"]
        samples = self.world_size * size * batches
        self.logger.info(
            f"auto_scale_lr: {samples} samples an update ({self.world_size} processes, batches of {size}, "
            f"{batches} accumulated), base_batch_size {base}: learning rates times {samples / base:g}"
        )

    def save_checkpoint(
        self, out_dir: str, filename: str, save_optimizer: bool = True, **options: Any
    ) -> None:
        """MMEngine's; where the model is sharded, every process must call it.

        Args:
            out_dir: The folder.
            filename: The file's name in it.
            save_optimizer: Write the optimiser's state as well.
            **options: Further arguments of MMEngine's method.
        """
        options["save_optimizer"] = save_optimizer
        if not isinstance(self.model, FSDP2Wrapper):
            return super().save_checkpoint(out_dir, filename, **options)
        module = self.model.module
        self.call_hook("gather_checkpoint")
        frozen = reloadable_keys(module, base_weight_modules(module, self.cfg.get("model")))
        optimizer = self.optim_wrapper.optimizer if save_optimizer else None
        with whole_state(module, optimizer, leave_out=frozen):
            super().save_checkpoint(out_dir, filename, **options)

    def resume(self, filename: str, *args: Any, map_location: Any = "default", **options: Any) -> None:
        """MMEngine's; whole tensors of a model that is sharded stay off the GPU."""
        if map_location == "default" and isinstance(self.model, FSDP2Wrapper):
            map_location = "cpu"
        super().resume(filename, *args, map_location=map_location, **options)


def _shards(model_wrapper_cfg: Mapping[str, Any] | None) -> bool:
    kind = MODEL_WRAPPERS.get((model_wrapper_cfg or {}).get("type", "MMDistributedDataParallel"))
    return kind is not None and issubclass(kind, FSDP2Wrapper)
