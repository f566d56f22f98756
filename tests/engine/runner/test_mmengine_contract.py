"""What MMEngine promises of a ``Runner`` holds for MapRunner, with MMEngine's own parts and any scope."""

import copy
import sys
from types import ModuleType

import pytest
import torch
from mmengine import registry as root
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, Hook, IterTimerHook, LoggerHook, RuntimeInfoHook
from mmengine.model import BaseModel
from mmengine.optim import CosineAnnealingLR, OptimWrapper, OptimWrapperDict
from mmengine.registry import Registry
from mmengine.runner import BaseLoop, ValLoop
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mapllava.config.components import unknown_arguments, unregistered_types
from mapllava.engine import MapIterTrainLoop, MapRunner, MapTrainLoop, build_runner
from mapllava.errors import MapLLaVAError


class Pairs(Dataset):
    """12 samples of a plain PyTorch data set, without ``metainfo``."""

    def __init__(self):
        self.x = torch.arange(24.0).view(12, 2) / 24

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return {"inputs": self.x[index], "data_samples": self.x[index].sum()}


class Line(BaseModel):
    def __init__(self, data_preprocessor=None, map_spec=None):
        super().__init__(data_preprocessor)
        self.linear = nn.Linear(2, 1)
        self.bias = nn.Linear(1, 1)
        self.map_spec = map_spec

    def forward(self, inputs, data_samples, mode="tensor"):
        error = self.bias(self.linear(torch.stack(list(inputs))))[:, 0] - torch.stack(list(data_samples))
        return {"loss": error.square().mean()} if mode == "loss" else list(error)


class TwoOptimizers(Line):
    def train_step(self, data, optim_wrapper):
        losses, log = self.parse_losses(self(**data, mode="loss"))
        losses.backward()
        for each in optim_wrapper.values():
            each.step()
            each.zero_grad()
        return log


class Error(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += [float(each.abs()) for each in data_samples]

    def compute_metrics(self, results):
        return {"error": sum(results) / len(results)}


class TwoBatchesLoop(BaseLoop):
    """A training loop that is no child of MMEngine's."""

    _epoch = _iter = 0
    max_epochs = max_iters = 1
    val_begin = val_interval = 1
    dynamic_milestones = None

    def run(self):
        self.runner.call_hook("before_train")
        for index, batch in zip(range(2), self.dataloader, strict=False):
            self.runner.model.train_step(batch, self.runner.optim_wrapper)
            self._iter = index + 1
        self.runner.call_hook("after_train")
        return self.runner.model

    epoch = property(lambda self: self._epoch)
    iter = property(lambda self: self._iter)


class Steps(Hook):
    """Notes where the run is."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append((runner.epoch, runner.iter, batch_idx))

    def before_val(self, runner):
        self.seen.append("val")


@pytest.fixture(autouse=True)
def registered():
    """The parts stand in MMEngine's root registries, as those of a project without a scope."""
    places = [
        (root.DATASETS, Pairs),
        (root.MODELS, Line),
        (root.MODELS, TwoOptimizers),
        (root.METRICS, Error),
    ]
    places += [(root.LOOPS, TwoBatchesLoop), (root.HOOKS, Steps)]
    for registry, part in places:
        registry.register_module(module=part, force=True)
    yield
    for registry, part in places:
        registry.module_dict.pop(part.__name__)


def config(work_dir, **changes):
    """MMEngine's scope, hooks, loops and optimiser's wrapper; 4 batches an epoch, 3 epochs."""
    loader = {"dataset": {"type": "Pairs"}, "batch_size": 3, "num_workers": 0}
    val = {**loader, "sampler": {"type": "DefaultSampler", "shuffle": False}}
    cfg = {
        "model": {"type": "Line"},
        "work_dir": str(work_dir),
        "train_dataloader": {**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        "val_dataloader": val,
        "test_dataloader": val,
        "train_cfg": {"by_epoch": True, "max_epochs": 3, "val_interval": 1},
        "val_cfg": {},
        "test_cfg": {},
        "val_evaluator": {"type": "Error"},
        "test_evaluator": {"type": "Error"},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
        "param_scheduler": {"type": "MultiStepLR", "milestones": [1, 2], "by_epoch": True},
        "custom_hooks": [{"type": "Steps"}],
        "randomness": {"seed": 5},
        "log_level": "ERROR",
        "default_scope": "mmengine",
    }
    return Config({**cfg, **changes})


def by_iter(**changes):
    sampler = {"type": "InfiniteSampler", "shuffle": True}
    return {
        "train_cfg": {"by_epoch": False, "max_iters": 10, "val_interval": 4},
        "param_scheduler": {"type": "MultiStepLR", "milestones": [4, 8], "by_epoch": False},
        "train_dataloader": {"dataset": {"type": "Pairs"}, "batch_size": 3, "sampler": sampler},
        **changes,
    }


def run(cfg):
    runner = MapRunner.from_cfg(cfg)
    runner.train()
    return runner


def steps(runner):
    return next(hook.seen for hook in runner.hooks if isinstance(hook, Steps))


def same_end(one, other):
    """Weights, optimiser, schedules and position of two runs are equal."""
    assert (one.epoch, one.iter) == (other.epoch, other.iter)
    for (name, a), b in zip(one.model.state_dict().items(), other.model.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    left, right = one.optim_wrapper.state_dict(), other.optim_wrapper.state_dict()
    assert str(left) == str(right)
    assert one.optim_wrapper.get_lr() == other.optim_wrapper.get_lr()


def test_training_by_epoch_validates_saves_and_schedules(tmp_path):
    runner = run(config(tmp_path))
    assert isinstance(runner.train_loop, MapTrainLoop)
    first, second, third = ([(e, 4 * e + b, b) for b in range(4)] for e in range(3))
    assert steps(runner) == [*first, "val", *second, "val", *third, "val"]
    assert {path.name for path in tmp_path.glob("*.pth")} == {"epoch_1.pth", "epoch_2.pth", "epoch_3.pth"}
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "epoch_3.pth")
    assert runner.optim_wrapper.get_lr()["lr"] == pytest.approx([0.001])
    assert (runner.epoch, runner.iter, runner.max_epochs, runner.max_iters) == (3, 12, 3, 12)
    written = Config.fromfile(next(tmp_path.glob("*.py")))
    assert written.optim_wrapper.optimizer.lr == 0.1


@pytest.mark.parametrize("kind", [{"by_epoch": False}, {"type": "IterBasedTrainLoop"}])
def test_training_by_iteration(tmp_path, kind):
    cfg = config(tmp_path, **by_iter(train_cfg={**kind, "max_iters": 10, "val_interval": 4}))
    cfg.default_hooks = {"checkpoint": {"type": "CheckpointHook", "by_epoch": False, "interval": 5}}
    runner = run(cfg)
    assert isinstance(runner.train_loop, MapIterTrainLoop)
    assert [seen if seen == "val" else seen[1] for seen in steps(runner)] == [
        *range(4), "val", *range(4, 8), "val", *range(8, 10), "val",
    ]  # fmt: skip
    assert {path.name for path in tmp_path.glob("*.pth")} == {"iter_5.pth", "iter_10.pth"}
    assert runner.optim_wrapper.get_lr()["lr"] == pytest.approx([0.001])


def test_validation_and_test_alone(tmp_path):
    none = {"train_dataloader": None, "train_cfg": None, "optim_wrapper": None, "param_scheduler": None}
    runner = MapRunner.from_cfg(config(tmp_path, **none))
    assert set(runner.val()) == set(runner.test()) == {"error"}
    assert type(runner.val_loop) is ValLoop
    with pytest.raises(RuntimeError, match="train_loop"):
        runner.train()


@pytest.mark.parametrize("missing", ["train_dataloader", "val_cfg", "test_evaluator"])
def test_half_of_a_stage_is_refused(tmp_path, missing):
    with pytest.raises(ValueError, match=missing):
        MapRunner.from_cfg(config(tmp_path, **{missing: None}))


def test_parts_that_are_built_already(tmp_path):
    model = Line()
    loaders = [DataLoader(Pairs(), batch_size=4, collate_fn=lambda many: _collated(many)) for _ in range(2)]
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    runner = MapRunner(
        model,
        str(tmp_path),
        train_dataloader=loaders[0],
        val_dataloader=loaders[1],
        train_cfg={"by_epoch": True, "max_epochs": 2},
        val_cfg={},
        val_evaluator=Evaluator(Error()),
        optim_wrapper=wrapper,
        param_scheduler=CosineAnnealingLR(wrapper, T_max=2),
        log_level="ERROR",
    )
    assert runner.train() is model
    assert (runner.epoch, runner.iter) == (2, 6)
    assert runner.optim_wrapper is wrapper
    assert runner.optim_wrapper.get_lr()["lr"] == pytest.approx([0.0])


def _collated(many):
    return {key: [each[key] for each in many] for key in many[0]}


def test_a_loop_of_ones_own(tmp_path):
    runner = run(config(tmp_path, train_cfg={"type": "TwoBatchesLoop"}, param_scheduler=None))
    assert type(runner.train_loop) is TwoBatchesLoop
    assert runner.iter == 2


def test_the_config_is_not_changed_and_builds_through_the_registry(tmp_path):
    cfg = config(tmp_path)
    before = copy.deepcopy(cfg.to_dict())
    MapRunner.from_cfg(cfg).build_train_loop(cfg.train_cfg)
    assert cfg.to_dict() == before
    assert type(root.RUNNERS.get("mapllava.MapRunner").from_cfg(cfg)) is MapRunner


def test_hooks_run_by_priority_then_in_the_order_of_their_registration(tmp_path):
    hooks = [{"type": "Steps", "priority": priority} for priority in ("LOWEST", "VERY_HIGH", 45, "NORMAL")]
    runner = MapRunner.from_cfg(config(tmp_path, custom_hooks=[*hooks, {"type": "Steps", "priority": 45}]))
    ranks = [int(hook.priority) if isinstance(hook.priority, int) else hook.priority for hook in runner.hooks]
    kinds = [type(hook) for hook in runner.hooks]
    assert kinds.index(RuntimeInfoHook) < kinds.index(IterTimerHook) < kinds.index(LoggerHook)
    assert kinds.index(LoggerHook) < kinds.index(CheckpointHook) < len(kinds) - 1
    own = [rank for rank, kind in zip(ranks, kinds, strict=True) if kind is Steps]
    assert own == ["VERY_HIGH", 45, 45, "NORMAL", "LOWEST"]
    runner.register_hook(Steps(), priority="HIGHEST")
    assert type(runner.hooks[0]) is Steps
    assert "(LOWEST" in runner.get_hooks_info()


def test_default_hooks_are_replaced_and_left_out_by_name(tmp_path):
    named = {
        "timer": None,
        "checkpoint": {"type": "CheckpointHook", "interval": 2},
        "mine": {"type": "Steps"},
    }
    runner = MapRunner.from_cfg(config(tmp_path, default_hooks=named, custom_hooks=None))
    kinds = [type(hook) for hook in runner.hooks]
    assert IterTimerHook not in kinds
    assert kinds.count(Steps) == 1
    assert next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook)).interval == 2


@pytest.mark.parametrize(
    ("changes", "hook", "resumed"),
    [
        ({}, {"interval": 1}, "epoch_1.pth"),
        ({}, {"by_epoch": False, "interval": 6}, "iter_6.pth"),  # two batches into the second epoch
        (by_iter(), {"by_epoch": False, "interval": 6}, "iter_6.pth"),
        ({"train_dataloader": {**by_iter()["train_dataloader"]}, "train_cfg": by_iter()["train_cfg"]},
         {"by_epoch": False, "interval": 4}, "iter_4.pth"),
    ],
    ids=["epoch", "within an epoch", "iteration", "schedule by epoch"],
)  # fmt: skip
def test_a_run_resumed_from_a_stock_checkpoint_ends_as_the_whole_one(tmp_path, changes, hook, resumed):
    hooks = {"checkpoint": {"type": "CheckpointHook", **hook}}
    whole = run(config(tmp_path / "whole", default_hooks=hooks, **changes))
    again = config(tmp_path / "again", default_hooks=hooks, **changes)
    again.update(load_from=str(tmp_path / "whole" / resumed), resume=True)
    second = run(again)
    same_end(second, whole)
    first = next(seen for seen in steps(second) if seen != "val")
    assert first == next(seen for seen in steps(whole) if seen != "val" and seen[1] == first[1])
    assert first[1] == torch.load(again.load_from, weights_only=True)["meta"]["iter"]


def test_automatic_resume_takes_the_last_checkpoint(tmp_path):
    whole = run(config(tmp_path / "whole", param_scheduler=None))
    shorter = {"by_epoch": True, "max_epochs": 2, "val_interval": 1}
    run(config(tmp_path / "again", param_scheduler=None, train_cfg=shorter))
    second = run(config(tmp_path / "again", param_scheduler=None, resume=True))
    assert next(seen for seen in steps(second) if seen != "val") == (2, 8, 0)
    same_end(second, whole)


def test_load_from_takes_weights_and_nothing_else(tmp_path):
    run(config(tmp_path / "first"))
    file = str(tmp_path / "first" / "epoch_3.pth")
    runner = MapRunner.from_cfg(config(tmp_path / "second", load_from=file))
    runner.load_or_resume()
    saved = torch.load(file, weights_only=True)
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, saved["state_dict"][name])
    assert (runner.epoch, runner.iter) == (0, 0)


def test_the_best_checkpoint_and_how_many_are_kept(tmp_path):
    hook = {"type": "CheckpointHook", "save_best": "error", "rule": "less", "max_keep_ckpts": 1}
    run(config(tmp_path, default_hooks={"checkpoint": hook}))
    names = {path.name for path in tmp_path.glob("*.pth")}
    assert "epoch_3.pth" in names
    assert len(names) == 2
    assert any(name.startswith("best_error_epoch_") for name in names)


def test_several_optimisers_train_and_resume(tmp_path):
    def two(folder):
        cfg = config(folder, model={"type": "TwoOptimizers"}, param_scheduler=None)
        runner = MapRunner.from_cfg(cfg)
        parts = {name: getattr(runner.model, name) for name in ("linear", "bias")}
        wrappers = {
            name: OptimWrapper(torch.optim.SGD(part.parameters(), lr=0.1, momentum=0.9))
            for name, part in parts.items()
        }
        runner.optim_wrapper = OptimWrapperDict(**wrappers)
        return runner

    whole = two(tmp_path / "whole")
    whole.train()
    again = two(tmp_path / "again")
    again.resume(str(tmp_path / "whole" / "epoch_2.pth"))
    again.train()
    same_end(again, whole)


def test_a_scope_of_a_plug_in(tmp_path, monkeypatch):
    """Its parts by their bare names, those of mapllava with their scope before them."""
    module = ModuleType("roadpainter.registry")
    module.MODELS = Registry("model", parent=root.MODELS, scope="roadpainter")
    module.OPTIMIZERS = Registry("optimizer", parent=root.OPTIMIZERS, scope="roadpainter")
    monkeypatch.setitem(sys.modules, "roadpainter", ModuleType("roadpainter"))
    monkeypatch.setitem(sys.modules, "roadpainter.registry", module)
    module.MODELS.register_module(name="Painter", module=Line)
    module.OPTIMIZERS.register_module(name="Brush", module=torch.optim.SGD)
    cfg = config(tmp_path, model={"type": "Painter"}, default_scope="roadpainter")
    cfg.optim_wrapper.optimizer.type = "Brush"
    cfg.map_spec = {"frame": "lidar", "roi": [-15.0, -30.0, 15.0, 30.0], "classes": ["divider"]}
    cfg.default_hooks = {
        "checkpoint": {"type": "mapllava.RunCheckpointHook", "metric": "error"},
        "safe_checkpoint": {"type": "mapllava.SafeCheckpointHook"},
    }
    try:
        runner = build_runner(cfg)
        runner.train()
        assert isinstance(runner.model, Line)
        assert runner.model.map_spec.classes == ["divider"]
        assert (tmp_path / "final_model.pth").is_file()
        assert not list(unregistered_types(cfg.to_dict()))
        assert not list(unknown_arguments(cfg.to_dict()))
        cfg.default_hooks.safe_checkpoint.type = "SafeCheckpointHook"  # MMEngine would not find it
        assert [finding.name for finding in unregistered_types(cfg.to_dict())] == [
            "default_hooks.safe_checkpoint"
        ]
        cfg.default_hooks.safe_checkpoint.type = "mapllava.SafeCheckpointHook"
        cfg.optim_wrapper.optimizer.type = "Broom"
        with pytest.raises(MapLLaVAError, match="Broom"):
            build_runner(cfg)
    finally:
        for registry in (module.MODELS, module.OPTIMIZERS):
            del registry.parent.children["roadpainter"]
