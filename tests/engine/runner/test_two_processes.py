"""Two processes are one process with twice the batch, sharded (FSDP2) or not (DDP)."""

import importlib.util
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from pair import SPEC, PairDataset, pair_config, pair_model, rank, run_pair, train

from mapllava.engine import build_runner
from mapllava.engine.distributed.memory import shard_bytes
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.metrics import VectorMapMetric
from mapllava.registry import MODELS
from mapllava.testing.tiny_hf import write_tiny_blip2

pytestmark = pytest.mark.slow

DDP = {"type": "MMDistributedDataParallel"}
FSDP2 = {"type": "FSDP2Wrapper"}
ACCUMULATE = {
    "train_cfg.max_epochs": 1,
    "optim_wrapper.accumulative_counts": 2,
    "train_cfg.val_interval": 2,  # none
}


class KeepAdapters(Hook):
    """The adapters that a run starts with, whole."""

    def __init__(self, file):
        self.file = file

    def before_train(self, runner):
        found = {
            name: getattr(parameter.data, "full_tensor", lambda p=parameter.data: p)().clone()
            for name, parameter in runner.model.module.named_parameters()
            if ".lora_" in name
        }
        torch.save(found, f"{self.file}.{rank()}")


class CountExchanges(Hook):
    """How often DDP's buckets are all-reduced."""

    def before_train(self, runner):
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

        def counted(state, bucket):
            self.buckets.append(bucket.index())
            return allreduce_hook(state, bucket)

        self.buckets = []
        runner.model.register_comm_hook(None, counted)


class GradientsLeft(Hook):
    """Whether any shard has a gradient after a batch: not while reduction waits, not after an update."""

    def before_train(self, runner):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(any(parameter.grad is not None for parameter in runner.model.parameters()))


def worker(root, blip2):
    """Everything that needs two processes, in one start of them."""
    for name, wrapper in (("ddp", DDP), ("fsdp2", FSDP2)):
        train(pair_config(root / name, blip2, 2, launcher="pytorch", model_wrapper_cfg=wrapper))
    again = {"resume": True, "load_from": str(root / "one" / "checkpoint_epoch_1.pth")}
    cfg = pair_config(root / "one_then_fsdp2", blip2, 2, launcher="pytorch", model_wrapper_cfg=FSDP2, **again)
    runner = train(cfg)
    memory = [parameter.to_local().numel() for parameter in runner.model.parameters()]
    torch.save(memory, root / f"shards.{rank()}")
    eager = {"defer_reduction": False, **FSDP2}
    for name, wrapper in (
        ("ddp_accumulated", DDP), ("fsdp2_accumulated", FSDP2), ("fsdp2_eager", eager)
    ):  # fmt: skip
        accumulate(root / name, blip2, wrapper)
        exact = pair_config(
            root / f"{name}_exactly", blip2, 1, launcher="pytorch", model_wrapper_cfg=wrapper, **ACCUMULATE
        )
        train(exact)
    if importlib.util.find_spec("peft"):
        for name, wrapper in (("ddp_lora", DDP), ("fsdp2_lora", FSDP2)):
            adapt(root / name, blip2, wrapper)
    half = {"param_dtype": "bfloat16", **FSDP2}
    cfg = pair_config(root / "bf16", blip2, 2, launcher="pytorch", model_wrapper_cfg=half)
    cfg.optim_wrapper.dtype, cfg.train_cfg.max_epochs = "bfloat16", 1
    train(cfg)
    score_final_model(root, blip2, launcher="pytorch", model_wrapper_cfg=FSDP2)
    for name, wrapper in (("ddp", DDP), ("fsdp2", FSDP2)):
        diverge(root / f"{name}_diverged", blip2, wrapper)
    refusals(root, blip2)
    metric(root)


def accumulate(work_dir, blip2, wrapper):
    cfg = pair_config(work_dir, blip2, 1, launcher="pytorch", model_wrapper_cfg=wrapper, **ACCUMULATE)
    cfg.model = pair_model(blip2, dilations=(1,))
    runner, gradients, count = build_runner(cfg), GradientsLeft(), CountExchanges()
    runner.register_hook(gradients)
    if wrapper is DDP:
        runner.register_hook(count)
    runner.train()
    ema = next(hook for hook in runner.hooks if type(hook).__name__ == "WarmupEMAHook")
    kept = {name: value for name, value in ema.average.values.items() if "running" in name}
    found = {"average": kept, "gradients": gradients.seen, "buckets": getattr(count, "buckets", None)}
    torch.save(found, f"{work_dir}.{rank()}")


def adapt(work_dir, blip2, wrapper):
    """An epoch with adapters in the language model, which every process draws from a seed of its own."""
    cfg = pair_config(work_dir, blip2, 4, launcher="pytorch", model_wrapper_cfg=wrapper)
    cfg.randomness = {"seed": 3, "diff_rank_seed": True}
    cfg.train_cfg.update(max_epochs=1, val_interval=2)
    cfg.optim_wrapper.pop("paramwise_cfg")
    cfg.model.decoder.update(frozen=True, lora={"rank": 2, "alpha": 4, "targets": "all-linear"})
    runner = build_runner(cfg)
    runner.register_hook(KeepAdapters(work_dir))
    runner.train()


class Poison(Hook):
    """From the second step on, what places the queries is NaN, in one process."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 1 and rank() == 1:
            branch = runner.model.module.head.point_branch[0]
            branch.register_forward_hook(lambda module, inputs, output: output * float("nan"))


def diverge(work_dir, blip2, wrapper):
    """One update is left out, the next one stops both processes."""
    cfg = pair_config(work_dir, blip2, 1, launcher="pytorch", model_wrapper_cfg=wrapper)
    cfg.optim_wrapper.clip_grad = None
    next(hook for hook in cfg.custom_hooks if hook["type"] == "NonFiniteLossHook")["max_skips"] = 1
    runner = build_runner(cfg)
    runner.register_hook(Poison())
    with pytest.raises(MapLLaVAError) as caught:
        runner.train()
    weights = [
        value.to_local() if hasattr(value, "to_local") else value for value in runner.model.parameters()
    ]
    broken = sum(not bool(value.isfinite().all()) for value in weights)
    torch.save({"said": str(caught.value), "broken": broken}, f"{work_dir}.{rank()}")


def score_final_model(root, blip2, **changes):
    """Test one process's final model."""
    name = "tested_sharded" if changes else "tested_alone"
    cfg = pair_config(root / name, blip2, 2, load_from=str(root / "one" / "final_model.pth"), **changes)
    torch.save(build_runner(cfg).test(), f"{root}/{name}.{rank()}")


def refusals(root, blip2):
    cases = {
        "dtype": ({"model_wrapper_cfg.param_dtype": "bfloat16"}, "optim_wrapper.dtype None"),
        "muon": (
            {
                "optim_wrapper.optimizer": {
                    "type": "MuonAdamW", "lr": 1e-3, "weight_decay": 0.0,
                    "muon": {"lr": 0.02, "momentum": 0.9, "steps": 5},
                },
                "optim_wrapper.paramwise_cfg": {"matrices": {"min_size": 8}},
            },
            "MuonAdamW needs whole gradients",
        ),
    }  # fmt: skip
    for name, (changes, words) in cases.items():
        cfg = pair_config(root / name, blip2, 2, launcher="pytorch", model_wrapper_cfg=FSDP2)
        if name == "muon":
            cfg.optim_wrapper.optimizer = {}
        cfg.merge_from_dict(changes)
        with pytest.raises(MapLLaVAError, match=words):
            train(cfg)


def predicted(index):
    """A sample with predictions, some of them of equal score."""
    sample = PairDataset(count=5, pipeline=[])[index]["data_samples"]
    random = np.random.default_rng(100 + index)
    gt = sample.gt_instances.points.numpy()
    points = np.concatenate([gt + random.normal(0, 0.7, gt.shape), random.uniform(-9, 9, gt.shape)])
    labels = np.tile(sample.gt_instances.labels.numpy(), 2)
    scores = np.round(random.uniform(0, 1, len(points)), 1)
    instances = type(sample.gt_instances)(
        points=torch.from_numpy(points), labels=torch.from_numpy(labels), scores=torch.from_numpy(scores)
    )
    sample.pred_instances = instances
    return sample.to_dict()


def score(indices):
    metric = VectorMapMetric()
    for index in indices:
        metric.process(None, [predicted(index)])
    return metric.evaluate(5)


def metric(root):
    sampler = DefaultSampler(range(5), shuffle=False)
    assert len(list(sampler)) == 3, "5 samples in shards of 3: one is seen twice"
    torch.save(score(sampler), root / f"metric.{get_rank()}")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of all runs, each of them made once."""
    root = tmp_path_factory.mktemp("runs")
    blip2 = write_tiny_blip2(root / "blip2")
    train(pair_config(root / "one", blip2, 4))
    run_pair(worker, root, blip2)
    again = {"resume": True, "load_from": str(root / "fsdp2" / "checkpoint_epoch_1.pth")}
    train(pair_config(root / "fsdp2_then_one", blip2, 4, **again))
    score_final_model(root, blip2)
    yield root
    shutil.rmtree(root)


def steps(root, name, processes=2):
    """Per step: the processes' mean loss; norm and learning rate, the same in all."""
    files = [torch.load(f"{root}/{name}.steps.{index}") for index in range(processes)]
    for entries in zip(*files, strict=True):
        assert len({(entry["norm"], entry["lr"], entry.get("mAP")) for entry in entries}) == 1
    return [
        (sum(entry["loss"] for entry in entries) / processes, entries[0]["norm"], entries[0]["lr"])
        for entries in zip(*files, strict=True)
    ]


def file(root, name, which="final_model.pth"):
    return torch.load(root / name / which, weights_only=True)


def assert_same_weights(left, right, **tolerance):
    for part in ("state_dict", "ema_state_dict"):
        assert left[part].keys() == right[part].keys()
        for key, value in left[part].items():
            assert type(value) is torch.Tensor
            torch.testing.assert_close(value, right[part][key], **tolerance, msg=lambda m, k=key: f"{k}: {m}")


CLOSE = {"rtol": 1e-4, "atol": 2e-5}


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_losses_and_weights_are_those_of_one_process_with_twice_the_batch(runs, name):
    np.testing.assert_allclose(steps(runs, name), steps(runs, "one", 1), rtol=1e-4)
    assert_same_weights(file(runs, name), file(runs, "one"), **CLOSE)


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_every_process_knows_the_gradient_norm_of_each_group(runs, name):
    alone = torch.load(f"{runs}/one.steps.0")[-1]["groups"]
    assert alone.keys() == {"train/grad_norm/llm", "train/grad_norm/new"}
    for index in (0, 1):
        assert torch.load(f"{runs}/{name}.steps.{index}")[-1]["groups"] == pytest.approx(alone, rel=1e-3)


@pytest.mark.parametrize("name", ["one_then_fsdp2", "fsdp2_then_one"])
def test_a_run_resumes_with_another_number_of_processes(runs, name):
    processes = 2 if name.endswith("fsdp2") else 1
    np.testing.assert_allclose(steps(runs, name, processes), steps(runs, "one", 1)[2:], rtol=1e-4)
    resumed, whole = file(runs, name), file(runs, "one")
    assert_same_weights(resumed, whole, **CLOSE)
    rates = [[group["initial_lr"] for group in f["optimizer"]["param_groups"]] for f in (resumed, whole)]
    assert rates[0] == rates[1]
    assert set(rates[0]) == {1e-3, 5e-4}


@pytest.mark.parametrize("which", ["checkpoint_epoch_1.pth", "best_model.pth", "final_model.pth"])
def test_a_sharded_models_checkpoint_is_an_unsharded_ones(runs, which):
    sharded, plain = file(runs, "fsdp2", which), file(runs, "one", which)
    assert sharded.keys() == plain.keys()
    assert_same_layout(sharded, plain)
    assert not [key for key in sharded["state_dict"] if key.startswith("vision_encoder.backbone")], (
        "frozen pretrained weights stay out"
    )
    assert sorted(path.name for path in (runs / "fsdp2").glob("*.pth")) == sorted(
        path.name for path in (runs / "one").glob("*.pth")
    ), "no half file is left"


def assert_same_layout(left, right):
    for part in ("state_dict", "ema_state_dict", "optimizer"):
        if part in right:
            assert layout(left[part]) == layout(right[part])


def layout(value):
    if isinstance(value, dict):
        return {key: layout(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [layout(entry) for entry in value]
    return (type(value), value.dtype, tuple(value.shape)) if isinstance(value, torch.Tensor) else type(value)


@pytest.mark.parametrize("name", ["ddp_lora", "fsdp2_lora"])
def test_adapters_start_as_nothing_and_the_same_in_every_process(runs, name):
    pytest.importorskip("peft")
    first, second = (torch.load(f"{runs / name}.{index}") for index in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert {key.split(".lora_")[1][0] for key, value in first.items() if value.any()} == {"A"}


def test_each_process_holds_half_of_the_parameters(runs):
    shares = [torch.load(runs / f"shards.{index}") for index in (0, 1)]
    model = MODELS.build({**pair_model(runs / "blip2"), "map_spec": SPEC})
    whole = sum(parameter.numel() for parameter in model.parameters())
    assert sum(map(sum, shares)) == whole
    assert max(map(sum, shares)) < 0.55 * whole
    estimated = [shard_bytes([p], 2) // p.element_size() for p in model.parameters()]
    assert estimated == [max(pair) for pair in zip(*shares, strict=True)]


def test_accumulation_exchanges_gradients_once_an_update_and_sharding_changes_nothing(runs):
    counted = [torch.load(f"{runs}/ddp_accumulated.{index}")["buckets"] for index in (0, 1)]
    assert counted[0] == counted[1]
    assert len(counted[0]) == 2 * len(set(counted[0])), "four batches, two updates"
    plain = file(runs, "ddp_accumulated")
    for name, left in (("fsdp2_accumulated", False), ("fsdp2_eager", True)):
        assert torch.load(f"{runs}/{name}.0")["gradients"] == [left, False, left, False]
        assert_same_weights(file(runs, name), plain, **CLOSE)


@pytest.mark.parametrize("name", ["ddp_accumulated", "fsdp2_accumulated", "fsdp2_eager"])
def test_two_processes_that_accumulate_two_batches_of_one_are_one_with_a_batch_of_four(runs, name):
    """Samples have one to four elements, so that batches weigh differently."""
    exact, whole = file(runs, f"{name}_exactly"), file(runs, "one", "checkpoint_epoch_1.pth")
    assert_same_weights(exact, whole, **CLOSE)
    batches = steps(runs, f"{name}_exactly")
    means = [(batches[at][0] + batches[at + 1][0]) / 2 for at in (0, 2)]
    np.testing.assert_allclose(means, [loss for loss, _, _ in steps(runs, "one", 1)[:2]], rtol=1e-4)


def test_predictions_that_are_no_numbers_in_one_process_end_both_in_words(runs):
    said = [torch.load(f"{runs}/ddp_diverged.{index}") for index in (0, 1)]
    assert "step 3: loss of another process; samples: " in said[0]["said"]
    assert "step 3: loss" in said[1]["said"]
    assert "loss_pts" in said[1]["said"]
    assert "first in the output of head.point_branch.0; samples: " in said[1]["said"]
    assert [each["broken"] for each in said] == [0, 0], "no step was made"
    evidence = torch.load(runs / "ddp_diverged" / "nonfinite_iter_3_rank_1.pth", weights_only=True)
    assert len(evidence["samples"]) == 1
    assert not (runs / "ddp_diverged" / "nonfinite_iter_3_rank_0.pth").exists()


def test_a_sharded_model_ends_in_words_too(runs):
    for index in (0, 1):
        said = torch.load(f"{runs}/fsdp2_diverged.{index}")
        assert "step 3: loss" in said["said"]
        assert said["broken"] == 0
    torch.load(runs / "fsdp2_diverged" / "nonfinite_iter_3_rank_1.pth", weights_only=True)


@pytest.mark.parametrize("name", ["ddp_accumulated", "fsdp2_accumulated"])
def test_running_statistics_and_their_average_are_the_same_in_every_process(runs, name):
    first, second = (torch.load(f"{runs}/{name}.{index}")["average"] for index in (0, 1))
    assert first
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_blocks_in_bf16_learn_about_the_same(runs):
    losses = [[loss for loss, _, _ in steps(runs, name)[:2]] for name in ("bf16", "fsdp2")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.03)
    saved = file(runs, "bf16")
    trained = {value.dtype for value in saved["ema_state_dict"].values()}
    assert trained == {torch.float32}, "weights and optimiser keep their own dtype"


def test_the_score_of_uneven_shards_is_one_process_to_the_last_digit(runs):
    alone = score(range(5))
    assert 0.1 < alone["mAP"] < 0.9
    assert torch.load(runs / "metric.0", weights_only=False) == alone
    assert torch.load(runs / "metric.1", weights_only=False) == alone


def test_a_sharded_model_tests_as_an_unsharded_one(runs):
    alone = torch.load(runs / "tested_alone.0", weights_only=False)
    assert alone, "metrics, if after four updates perhaps of no hit"
    for index in (0, 1):
        assert torch.load(runs / f"tested_sharded.{index}", weights_only=False) == pytest.approx(alone)
