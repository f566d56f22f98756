"""MMEngine's runner, which also trains a sharded model and writes whole checkpoints of it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path
from traceback import clear_frames
from typing import Any, ClassVar, cast

from mmengine.dist import broadcast, broadcast_object_list
from mmengine.logging import MMLogger
from mmengine.model import convert_sync_batchnorm
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mapllava.checkpoint import start_weights
from mapllava.checkpoint.base_weights import base_weight_modules, reloadable_keys
from mapllava.checkpoint.plain_file import read_plain
from mapllava.checkpoint.plain_state import make_plain, restore_message_hub
from mapllava.claims import new_folder
from mapllava.config.hooks import MMENGINE_HOOKS
from mapllava.engine.distributed.fsdp2_wrapper import FSDP2Wrapper
from mapllava.engine.distributed.sharding import whole_state
from mapllava.engine.distributed.unwrap_model import unwrap_model
from mapllava.engine.hooks.run_folder_hook import RunFolderHook
from mapllava.engine.optim.accumulation import accumulative_counts, count_updates
from mapllava.engine.runner.data_workers import end_workers, start_with_parent
from mapllava.engine.runner.failures import explain
from mapllava.engine.runner.log_file import on_disk
from mapllava.engine.runner.map_iter_train_loop import MapIterTrainLoop
from mapllava.engine.runner.map_train_loop import MapTrainLoop
from mapllava.engine.runner.resume import check_groups, follow_config, group_options
from mapllava.engine.runner.resume_changes import Change, check_resume
from mapllava.engine.runner.run_state import built_loops
from mapllava.engine.runner.visits import with_visits
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODEL_WRAPPERS, PARAM_SCHEDULERS, RUNNERS, find

_MMENGINE_RUNNER = inspect.getfile(Runner)
_EXACT_LOOPS = (MapTrainLoop, MapIterTrainLoop)
_OWN_LOOPS: dict[Any, type[BaseLoop]] = {
    **dict.fromkeys(("by_epoch", "EpochBasedTrainLoop", EpochBasedTrainLoop), MapTrainLoop),
    **dict.fromkeys(("by_iter", "IterBasedTrainLoop", IterBasedTrainLoop), MapIterTrainLoop),
}


@RUNNERS.register_module()
class MapRunner(Runner):
    """A :class:`~mmengine.runner.Runner` for which ``model_wrapper_cfg`` may shard the model.

    A sharded model gets its initial weights before it is sharded. Its checkpoints are those of an
    unsharded one: gathered, written by the main process, resumable with any number of processes,
    sharded or not. Before gathering, hooks that have a method ``gather_checkpoint(runner)`` are
    called in every process, to gather sharded tensors of their own.
    """

    _train_dataloader: Any
    _timestamps: ClassVar[set[str]] = set()
    """Of this process's runners: MMEngine finds a run's logger, curves and history by these names."""

    def setup_env(self, env_cfg: dict) -> None:
        """MMEngine's; a start in the same second as another has a log and a log folder of its own."""
        super().setup_env(env_cfg)
        wanted = Path(self.work_dir) / self.timestamp
        name = [new_folder(wanted, self._timestamps).name if self.rank == 0 else ""]
        broadcast_object_list(name)
        self._timestamp: str = name[0]  # what timestamp gives
        self._timestamps.add(name[0])

    def set_randomness(self, seed: Any, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """MMEngine's; it is kept whether every process has a seed of its own."""
        self._seeds_differ = diff_rank_seed
        super().set_randomness(seed, diff_rank_seed, deterministic)

    def build_logger(self, *args: Any, **options: Any) -> MMLogger:
        """MMEngine's; its long listings (environment, config, hooks) go to the log file alone."""
        logger = super().build_logger(*args, **options)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_no_listing)
        logger.handlers = [
            on_disk(handler) if type(handler) is logging.FileHandler else handler
            for handler in logger.handlers
        ]
        return logger

    def dump_config(self) -> None:
        """MMEngine's; a ``RunFolderHook`` writes the config when the start has come as far as that."""
        if not any(isinstance(hook, RunFolderHook) for hook in self.hooks):
            super().dump_config()

    def train(self) -> nn.Module:
        """MMEngine's; what other libraries raise says what to do, where that is known.

        Raises:
            MapLLaVAError: See :func:`mapllava.engine.runner.failures.explain`.
        """
        with self._failures_explained():
            return super().train()

    def test(self) -> dict:
        """MMEngine's; see :meth:`train`."""
        with self._failures_explained():
            return super().test()

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """MMEngine's; None leaves out any hook by its name, not only one of MMEngine's own."""
        named = (hooks or {}).items()
        super().register_default_hooks({k: v for k, v in named if v is not None or k in MMENGINE_HOOKS})

    def call_hook(self, fn_name: str, **arguments: Any) -> None:
        """MMEngine's; whatever hooks there are, a checkpoint is written as plain values, and read as such.

        Args:
            fn_name: Name of the hooks' method.
            **arguments: What it takes beside the runner.
        """
        if fn_name == "after_load_checkpoint":
            restore_message_hub(arguments["checkpoint"])
        super().call_hook(fn_name, **arguments)
        if fn_name == "before_save_checkpoint":
            make_plain(arguments["checkpoint"])

    @contextmanager
    def _failures_explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            explained = explain(error, self)
            if active_children() and (explained is not None or isinstance(error, MapLLaVAError)):
                # a data loader's iterator is among the locals: left to the garbage collector, its queues
                # go first, and each worker is waited for five seconds
                clear_frames(error.__traceback__)
            if explained is None:
                raise
            raise explained from error
        finally:
            for loop in built_loops(self).values():
                end_workers(getattr(loop, "dataloader", None))

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """MMEngine's; its workers end with the run."""
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        start_with_parent(loader)
        return loader

    def build_train_loop(self, loop: Any) -> BaseLoop:
        """MMEngine's; its loops are ours, which accumulate exactly and start within an epoch."""
        data = self._train_dataloader  # its config still; the property would build it
        if isinstance(loop, Mapping) and isinstance(data, Mapping):
            own = self.rank if self._seeds_differ else 0
            # from where MMEngine builds it
            self._train_dataloader = with_visits(data, cast(int, self.seed) - own)
        if isinstance(loop, Mapping):
            kind = loop.get("type", "by_epoch" if loop.get("by_epoch", True) else "by_iter")
            loop = {**{k: v for k, v in loop.items() if k != "by_epoch"}, "type": _OWN_LOOPS.get(kind, kind)}
        built = super().build_train_loop(loop)
        if accumulative_counts(self.optim_wrapper) > 1 and not isinstance(built, _EXACT_LOOPS):
            self.logger.warning(
                f"{type(built).__name__} divides an accumulated batch's losses by what that batch holds; "
                "MapTrainLoop and MapIterTrainLoop divide them by what all batches of the update hold"
            )
        return built

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model; one that will be sharded never lies on one device as a whole."""
        if not (self.distributed and _shards(model_wrapper_cfg)):
            return super().wrap_model(model_wrapper_cfg, model)
        start_weights(model)
        for value in model.state_dict().values():
            broadcast(value)
        if self.cfg.get("sync_bn") is not None:
            model = convert_sync_batchnorm(model, self.cfg.sync_bn)
        return MODEL_WRAPPERS.build(model_wrapper_cfg, default_args={"module": model})

    def _init_model_weights(self) -> None:  # train() calls it; there is no public place between
        """Initial weights, the main process's in every process, unless sharding has needed them already."""
        if not isinstance(self.model, FSDP2Wrapper):
            model = unwrap_model(self.model)
            start_weights(model)
            for value in model.state_dict().values():
                broadcast(value)

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: Mapping[str, Any] | None = None) -> None:
        """Scale learning rates by samples an update, processes and accumulated batches counted in.

        Args:
            optim_wrapper: Its groups' rates become ``lr * samples / base_batch_size``.
            auto_scale_lr: ``base_batch_size``, the samples an update that the config's rates are for,
                and ``enable``.
        """
        if not auto_scale_lr or not auto_scale_lr.get("enable"):
            return
        batches, base = accumulative_counts(optim_wrapper), auto_scale_lr["base_batch_size"]
        super().scale_lr(optim_wrapper, {"base_batch_size": base / batches, "enable": True})
        size = self._train_dataloader["batch_size"]  # as MMEngine, from the config
        samples = self.world_size * size * batches
        self.logger.info(
            f"auto_scale_lr: {samples} samples an update ({self.world_size} processes, batches of {size}, "
            f"{batches} accumulated), base_batch_size {base}: learning rates times {samples / base:g}"
        )

    # the part for one optimiser of MMEngine's build_param_scheduler, whose list and dict are kept
    def _build_param_scheduler(self, scheduler: Any, optim_wrapper: OptimWrapper) -> list[Any]:
        """MMEngine's; what is by iteration, or converted to it, is in updates of the weights."""
        epoch = count_updates(len(self.train_dataloader), optim_wrapper)
        if not epoch:
            raise MapLLaVAError(
                f"an epoch has no batch: {len(self.train_dataloader.dataset)} training samples with "
                f"train_dataloader.batch_size={self.train_dataloader.batch_size} and drop_last=True"
            )
        whole = isinstance(self.train_loop, MapTrainLoop)
        total = epoch * self.max_epochs if whole else count_updates(self.max_iters, optim_wrapper)
        built = []
        for each in scheduler if isinstance(scheduler, Sequence) else [scheduler]:
            if isinstance(each, Mapping):
                end = self.max_epochs if each.get("by_epoch", True) else total
                given = {"optimizer": optim_wrapper, "epoch_length": epoch}
                each = PARAM_SCHEDULERS.build({"end": end, **each}, default_args=given)
            built.append(each)
        return built

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool = True,
        **options: Any,
    ) -> None:
        """MMEngine's; where the model is sharded, every process must call it.

        ``meta`` also says how many batches of an epoch it has behind it, and of how many samples.

        Args:
            out_dir: The folder.
            filename: The file's name in it.
            file_client_args: MMEngine's older word for ``backend_args``.
            save_optimizer: Write the optimiser's state as well.
            save_param_scheduler: Write the schedules' state as well.
            meta: What is known of the checkpoint besides.
            by_epoch: The checkpoint is that of an epoch's end.
            **options: Further arguments of MMEngine's method.
        """
        meta = {"samples_per_step": self.samples_per_step(), **(meta or {})}
        if not by_epoch and isinstance(self.train_loop, MapTrainLoop):
            here: dict[str, Any] = {"epoch": self.epoch, "iter": self.iter + 1, **meta}
            meta["batch"] = here["iter"] - here["epoch"] * len(self.train_dataloader)
        options.update(
            file_client_args=file_client_args,
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
            meta=meta,
            by_epoch=by_epoch,
        )
        if not isinstance(self.model, FSDP2Wrapper):
            return super().save_checkpoint(out_dir, filename, **options)
        module = self.model.module
        self.call_hook("gather_checkpoint")
        frozen = reloadable_keys(module, base_weight_modules(module, self.cfg.get("model")))
        optimizer = self.optim_wrapper.optimizer if save_optimizer else None
        with whole_state(module, optimizer, leave_out=frozen):
            super().save_checkpoint(out_dir, filename, **options)

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "default",
    ) -> None:
        """MMEngine's, also from within an epoch, and true to the config that the run has now.

        Where the config gives other learning rates than the checkpoint's, they are from here on those
        that a run with this config would have had here; whole tensors of a sharded model stay off the GPU.

        Args:
            filename: The checkpoint.
            resume_optimizer: Load the optimiser's state.
            resume_param_scheduler: Load the schedules' state.
            map_location: Where tensors are loaded to.

        Raises:
            MapLLaVAError: If the config differs where it must not.
        """
        if map_location == "default" and isinstance(self.model, FSDP2Wrapper):
            map_location = "cpu"
        content = read_plain(filename, verify=False)
        meta = content["meta"]
        found = check_resume(self.cfg, meta, filename, self.train_dataloader.dataset)
        wrapper = self.optim_wrapper
        single = isinstance(wrapper, OptimWrapper) and not isinstance(wrapper, OptimWrapperDict)
        if single and resume_optimizer and "optimizer" in content:
            check_groups(content["optimizer"], wrapper.optimizer, filename)
        self.start_within_epoch(meta)
        behind = self._batches_behind(meta)
        anew = behind != int(meta["iter"]) or any(change.of_schedules for change in found or ())
        if anew and not single:
            raise MapLLaVAError(
                f"'{filename}' is of a model with several optimisers: it cannot be resumed with another "
                "optimiser, schedule, number of epochs or batch size; set these back, or start a new run "
                "from its weights with load_from"
            )
        fresh = group_options(wrapper) if anew else []
        super().resume(filename, resume_optimizer, resume_param_scheduler and not anew, map_location)
        if anew:
            epochs = int(meta["epoch"]) if isinstance(self.train_loop, MapTrainLoop) else 0
            whole = len(self.train_dataloader)
            done = [count_updates(whole, wrapper)] * epochs + [
                count_updates(behind - epochs * whole, wrapper)
            ]
            follow_config(wrapper, fresh, cast(list, self.param_schedulers or []), done)
        self.train_loop._iter = behind  # where MMEngine's resume writes it
        if isinstance(self.train_loop, IterBasedTrainLoop):
            self.train_loop._epoch = 0  # one big epoch, also after its end: more iterations belong to it
        self._tell(found, anew)

    def _tell(self, found: list[Change] | None, anew: bool) -> None:
        if found is None:
            self.logger.warning(
                "the checkpoint does not hold its config (it is of an earlier version, or SafeCheckpointHook "
                "did not write it): what has changed since is not known, its schedules go on"
            )
        for change in found or ():
            self.logger.info(f"Resumed with another config: {change} ({change.verdict})")
        if anew:
            rates = {name: rates[0] for name, rates in self.optim_wrapper.get_lr().items()}
            self.logger.info(f"Learning rates by the config's schedules, from here on: {rates}")

    def _batches_behind(self, meta: Mapping[str, Any]) -> int:
        """Batches of this run's size that a checkpoint has behind it."""
        if not isinstance(self.train_loop, MapTrainLoop):
            return int(meta["iter"])
        return int(meta["epoch"]) * len(self.train_dataloader) + self.train_loop.start_batch

    def start_within_epoch(self, meta: Mapping[str, Any]) -> None:
        """Go on after the batches of an epoch that a checkpoint has behind it.

        Args:
            meta: Of the checkpoint; with ``batch`` and ``samples_per_step`` where it is of within an epoch.

        Raises:
            MapLLaVAError: If the training loop cannot, or the samples make no whole number of updates.
        """
        batch, now = int(meta.get("batch", 0)), self.samples_per_step()
        before, accumulated = int(meta.get("samples_per_step", now)), accumulative_counts(self.optim_wrapper)
        if isinstance(self.train_loop, IterBasedTrainLoop):
            if before != now or int(meta["iter"]) % accumulated:
                raise MapLLaVAError(
                    f"the checkpoint has {meta['iter']} batches of {before} samples (all processes together) "
                    f"behind it, now an update has {accumulated} of {now}: an iteration loop counts them, "
                    "resume with as many processes, the same batch_size and accumulative_counts"
                )
            return
        if not batch:
            return
        if not isinstance(self.train_loop, MapTrainLoop):
            raise MapLLaVAError(
                "the checkpoint is from within an epoch: set train_cfg.type = 'MapTrainLoop', or resume from "
                "a checkpoint_epoch_N.pth"
            )
        samples = batch * before
        if samples % (now * accumulated):
            times = f" times {accumulated} accumulated" if accumulated > 1 else ""
            raise MapLLaVAError(
                f"the checkpoint has {samples} samples of its epoch behind it, which is no whole number of "
                f"batches of {now}{times} (all processes together): resume with as many processes, the same "
                "batch_size and accumulative_counts, or from a checkpoint_epoch_N.pth"
            )
        self.train_loop.start_batch = samples // now

    def samples_per_step(self) -> int:
        """Training samples of one batch, all processes together."""
        loader = self.train_dataloader
        return self.world_size * int(
            getattr(loader.batch_sampler, "batch_size", None) or loader.batch_size or 1
        )


def _is_no_listing(record: logging.LogRecord) -> bool:
    return record.pathname != _MMENGINE_RUNNER or record.levelno > logging.INFO or "\n" not in str(record.msg)


def _shards(model_wrapper_cfg: Mapping[str, Any] | None) -> bool:
    kind = find(MODEL_WRAPPERS, (model_wrapper_cfg or {}).get("type", "MMDistributedDataParallel"))
    return kind is not None and issubclass(kind, FSDP2Wrapper)
