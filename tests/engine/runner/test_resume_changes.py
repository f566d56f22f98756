"""A resumed run obeys the config it has now exactly, or refuses by name."""

import copy
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from toy import toy_config

from mapllava.config.resolve import resolve
from mapllava.config.trusted import config_in
from mapllava.engine import build_runner
from mapllava.engine.runner.resume_changes import EFFECT, EQUAL, HARMLESS, verdict
from mapllava.engine.runner.resume_changes import changes as changes_of
from mapllava.errors import MapLLaVAError

TINY = Path(__file__).parents[3] / "configs" / "stage2" / "synthetic.py"
WARM = {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 3, "by_epoch": False}
COSINE = {"type": "CosineAnnealingLR", "by_epoch": True, "convert_to_iter_based": True, "eta_min": 0}
BY_EPOCH = {"type": "StepLR", "step_size": 1, "gamma": 0.5, "by_epoch": True}


class Rates(Hook):
    """What each batch is trained with, by the number of samples that the run has behind it."""

    priority = "VERY_HIGH"

    def __init__(self):
        self.seen = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        loader = runner.train_dataloader
        group = runner.optim_wrapper.param_groups[0]
        values = (group["lr"], group["weight_decay"], group["betas"])
        self.seen[runner.epoch * len(loader.dataset) + batch_idx * loader.batch_size] = (runner.iter, values)


def config(folder, epochs=2, hooks=(), **changes):
    cfg = toy_config(folder, epochs=epochs, param_scheduler=[dict(WARM), dict(COSINE)])
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.custom_hooks = [
        {"type": name} for name in ("SafeCheckpointHook", "WarmupEMAHook", "ReproducibleEpochsHook", *hooks)
    ]
    cfg.merge_from_dict(changes)
    return cfg


def train(cfg, source=None):
    if source is not None:
        cfg.resume, cfg.load_from = True, str(source)
    runner, rates = build_runner(cfg), Rates()
    runner.register_hook(rates)
    runner.train()
    return rates.seen


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The checkpoints of a run of two epochs, and one from within its second epoch."""
    folder = tmp_path_factory.mktemp("done")
    train(config(folder, **{"default_hooks.checkpoint.every_steps": 2}))
    return folder


TAKES_EFFECT = {
    "more epochs": {"train_cfg.max_epochs": 4},
    "learning rate": {"optim_wrapper.optimizer.lr": 0.002},
    "decay and betas": {"optim_wrapper.optimizer": {"weight_decay": 0.3, "betas": (0.8, 0.9)}},
    "larger batches": {"train_dataloader.batch_size": 4},
    "a last batch that is smaller": {"train_dataloader.batch_size": 3},
    "accumulation": {"optim_wrapper.accumulative_counts": 2},
    "a schedule less": {"param_scheduler": [COSINE]},
    "other schedules": {"param_scheduler": [BY_EPOCH, {**WARM, "end": 6}]},
    "scaled rates": {"auto_scale_lr": {"enable": True, "base_batch_size": 8}},
    "clipping": {"optim_wrapper.clip_grad": {"max_norm": 0.1}},
    "epochs and batches": {"train_cfg.max_epochs": 3, "train_dataloader.batch_size": 4},
}


@pytest.mark.parametrize("name", TAKES_EFFECT)
def test_from_the_resume_on_a_change_is_as_if_it_had_been_so_from_the_beginning(tmp_path, done, name):
    def changed(folder):
        return config(tmp_path / folder, **TAKES_EFFECT[name])

    whole = train(changed("whole"))
    rest = train(changed("rest"), done / "checkpoint_epoch_1.pth")
    assert rest == {samples: values for samples, values in whole.items() if samples >= 8}
    assert rest, "an epoch was left"


@pytest.mark.slow
def test_a_change_within_an_epoch_and_one_that_shortens_the_run(tmp_path):
    first = config(tmp_path / "first", epochs=4, **{"default_hooks.checkpoint.every_steps": 2})

    class Stop(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 6:
                raise InterruptedError

    runner = build_runner(first)
    runner.register_hook(Stop())
    with pytest.raises(InterruptedError):
        runner.train()
    for name, changes in {
        "longer": {"train_cfg.max_epochs": 6},
        "shorter": {"train_cfg.max_epochs": 2},
        "larger": {"train_dataloader.batch_size": 4, "optim_wrapper.optimizer.lr": 0.5},
    }.items():
        whole = train(config(tmp_path / name, epochs=4, **changes))
        rest = config(tmp_path / f"{name} rest", epochs=4, **changes)
        rest = train(rest, tmp_path / "first" / "checkpoint_epoch_2_step_2.pth")
        assert rest == {samples: values for samples, values in whole.items() if samples >= 12}
    odd = config(tmp_path / "odd", epochs=4, **{"optim_wrapper.accumulative_counts": 3})
    with pytest.raises(MapLLaVAError, match=r"4 samples of its epoch .* batches of 2 times 3 accumulated"):
        train(odd, tmp_path / "first" / "checkpoint_epoch_2_step_2.pth")


def test_all_that_cannot_take_effect_is_refused_in_one_message(tmp_path, done):
    cfg = config(tmp_path, epochs=1, randomness={"seed": 7})
    cfg.model = {"type": "ToyModel", "frozen": True}
    cfg.optim_wrapper.optimizer.type = "SGD"
    cfg.train_dataloader.sampler.shuffle = False
    cfg.train_dataloader.dataset.indices = [1, 2]
    cfg.map_spec.roi = [-8.0, -30.0, 15.0, 30.0]
    cfg.train_cfg.val_interval = 3
    with pytest.raises(MapLLaVAError) as refused:
        train(cfg, done / "checkpoint_epoch_2.pth")
    text = str(refused.value)
    for line in (
        "randomness.seed: 0 then, 7 now",
        "model.frozen: not set then, True now",
        "optim_wrapper.optimizer.type: AdamW then, SGD now",
        "train_dataloader.sampler.shuffle: True then, False now",
        "train_dataloader.dataset.indices: not set then, [1, 2] now",
        "map_spec.roi.0: -15.0 then, -8.0 now",
        "train_cfg.max_epochs: 2 begun then, 1 now",
        "checkpoint_epoch_2.pth",
        "load_from=",
    ):
        assert line in text
    refused_part, also = text.split("no hindrance:")
    assert "train_cfg.val_interval: 1 then, 3 now" in also
    assert "val_interval" not in refused_part


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"train_cfg": {"_delete_": True, "type": "IterBasedTrainLoop", "max_iters": 9}}, "train_cfg.type"),
        (
            {"optim_wrapper.optimizer.amsgrad": True},
            "optimizer.amsgrad: not set then, True now",
        ),
        ({"optim_wrapper.paramwise_cfg": {"custom_keys": {"head": {"lr_mult": 2}}}}, "paramwise_cfg"),
        (
            {"train_dataloader.dataset": {"type": "RepeatDataset"}},
            "dataset.type: ToyDataset",
        ),
        ({"model.type": "OtherModel"}, "model.type: ToyModel then, OtherModel now"),
    ],
)
def test_each_is_refused_before_anything_is_built(tmp_path, done, change, line):
    cfg = config(tmp_path / "run", **change)
    cfg.resume, cfg.load_from = True, str(done / "checkpoint_epoch_1.pth")
    with pytest.raises(MapLLaVAError) as refused:
        build_runner(cfg)
    assert line in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_harmless_changes_leave_the_run_as_it_was_and_are_told(tmp_path, done):
    change = {
        "train_dataloader.num_workers": 1,
        "default_hooks.logger.interval": 3,
        "train_cfg.val_interval": 2,
        "log_level": "INFO",
        "env_cfg": {"cudnn_benchmark": True},
    }
    cfg = config(tmp_path, **change)
    cfg.resume, cfg.load_from = True, str(done / "checkpoint_epoch_1.pth")
    runner, told = build_runner(cfg), []
    runner.logger.info = told.append
    runner.train()
    for line in (
        "train_dataloader.num_workers: 0 then, 1 now (harmless)",
        "hooks.LoggerHook.interval: 1 then, 3 now (harmless)",
        "train_cfg.val_interval: 1 then, 2 now (takes effect)",
        "log_level: ERROR then, INFO now (harmless)",
    ):
        assert any(line in each for each in told)
    assert not any("Learning rates by" in each for each in told)
    left, right = (torch.load(each / "final_model.pth", weights_only=True) for each in (done, tmp_path))
    for part in ("state_dict", "ema_state_dict"):
        assert all(torch.equal(left[part][key], right[part][key]) for key in left[part])
    assert left["param_schedulers"] == right["param_schedulers"]


def test_the_order_of_the_parameters_groups_must_be_the_checkpoints(tmp_path):
    """The same config, but other groups: here because less is frozen by a plug-in's own logic."""
    cfg = config(tmp_path)
    train(cfg)
    path = tmp_path / "checkpoint_epoch_1.pth"
    saved = torch.load(path, weights_only=True)
    saved["optimizer"]["param_groups"][0]["params"].pop()
    torch.save(saved, path)
    with pytest.raises(MapLLaVAError, match=r"(?s)other groups of parameters.*then: 0: 5.*now:  0: 6"):
        train(config(tmp_path), path)
    saved["optimizer"]["param_groups"][0]["params"].append(5)
    state = saved["optimizer"]["state"]
    state[0], state[1] = state[1], state[0]
    torch.save(saved, path)
    with pytest.raises(MapLLaVAError, match=r"exp_avg no. 0 is \(8,\), the parameter in its place \(8, 4\)"):
        train(config(tmp_path), path)


def test_a_checkpoint_without_its_config_goes_on_with_a_warning(tmp_path, done):
    saved = torch.load(done / "checkpoint_epoch_1.pth", weights_only=True)
    del saved["meta"]["full_config"]
    torch.save(saved, tmp_path / "old.pth")
    cfg = config(tmp_path)
    cfg.resume, cfg.load_from = True, str(tmp_path / "old.pth")
    runner, warned = build_runner(cfg), []
    runner.logger.warning = warned.append
    runner.train()
    assert any("does not hold its config" in line for line in warned)


def test_a_run_that_is_done_says_so(tmp_path, done):
    cfg = config(tmp_path)
    cfg.resume, cfg.load_from = True, str(done / "final_model.pth")
    runner, told = build_runner(cfg), []
    runner.logger.info = told.append
    runner.train()
    assert any("Nothing is left to train: 2 of 2 epochs" in line for line in told)


def test_other_data_in_the_same_place_are_refused(tmp_path, done):
    saved = torch.load(done / "checkpoint_epoch_1.pth", weights_only=True)
    saved["meta"]["dataset_meta"]["fingerprint"] = "abc"
    saved["meta"]["samples"] = 9
    torch.save(saved, tmp_path / "other.pth")
    with pytest.raises(MapLLaVAError) as refused:
        train(config(tmp_path), tmp_path / "other.pth")
    assert "training data, samples: 9 then, 8 now" in str(refused.value)
    assert "training data, fingerprint: abc then, not set now" in str(refused.value)


def test_without_the_average_the_weights_go_on_not_the_average(tmp_path, done):
    cfg = config(tmp_path)
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook["type"] != "WarmupEMAHook"]
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.model.data_preprocessor = None
    train(cfg, done / "checkpoint_epoch_1.pth")
    then = torch.load(done / "checkpoint_epoch_1.pth", weights_only=True)["ema_state_dict"]
    now = torch.load(tmp_path / "final_model.pth", weights_only=True)["state_dict"]
    assert torch.equal(then["head.weight"], now["head.weight"])


def scores(folder, values, resume_after=None, epochs=5):
    """Train with given validation scores; returns the epochs done and the rates."""

    class Scores(Hook):
        priority = "VERY_HIGH"

        def after_val_epoch(self, runner, metrics=None):
            metrics["mAP"] = values[runner.epoch - 1]

        def after_train_epoch(self, runner):
            if resume_after == runner.epoch:
                raise InterruptedError

    cfg = toy_config(folder, epochs=epochs)
    plateau = dict(type="ReduceOnPlateauLR", monitor="mAP", rule="greater", patience=0, factor=0.5)
    cfg.param_scheduler = [plateau]
    stopping = dict(type="EarlyStoppingHook", monitor="mAP", rule="greater", patience=3, min_delta=0)
    cfg.custom_hooks += [stopping]
    return cfg, Scores()


@pytest.mark.slow
def test_patience_and_schedules_by_scores_go_on_after_a_resume(tmp_path):
    values = [0.5, 0.4, 0.3, 0.2, 0.1]

    def run(folder, resume_after=None, source=None):
        cfg, hook = scores(folder, values, resume_after)
        if source:
            cfg.resume, cfg.load_from = True, str(source)
        runner, rates = build_runner(cfg), Rates()
        runner.register_hook(hook)
        runner.register_hook(rates)
        if resume_after is None:
            runner.train()
        else:
            with pytest.raises(InterruptedError):
                runner.train()
        return rates.seen

    whole = run(tmp_path / "whole")
    assert len(whole) == 16, "0.5 is best, three epochs without better: stopped after the fourth"
    first = run(tmp_path / "cut", resume_after=2)  # in the third epoch; two are validated
    rest = run(tmp_path / "cut", source=tmp_path / "cut" / "checkpoint_epoch_2.pth")
    assert {**first, **rest} == whole
    cfg, _ = scores(tmp_path / "cut", values)
    cfg.optim_wrapper.optimizer.lr = 0.5
    cfg.resume, cfg.load_from = True, str(tmp_path / "cut" / "checkpoint_epoch_2.pth")
    with pytest.raises(MapLLaVAError, match="ReduceOnPlateauLR goes by the scores"):
        build_runner(cfg).train()


def test_a_best_score_of_other_data_is_no_measure(tmp_path):
    cfg = toy_config(tmp_path, epochs=1)
    build_runner(cfg).train()
    record = tmp_path / "best_model.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "score": 1e9, "split": "another"}))
    again = toy_config(tmp_path, epochs=2)
    again.resume, again.load_from = True, str(tmp_path / "checkpoint_epoch_1.pth")
    build_runner(again).train()
    assert json.loads(record.read_text())["score"] < 1e9


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("model.decoder.lora.r", EQUAL),
        ("model.vision_encoder.pretrained", HARMLESS),
        ("model.decoder.tokenizer.type", HARMLESS),
        ("model.decoder.prompt", EQUAL),
        ("model_wrapper_cfg.type", HARMLESS),
        ("train_dataloader.dataset.pipeline.1.prob", EFFECT),
        ("train_dataloader.dataset.datasets.0.ann_file", HARMLESS),
        ("train_dataloader.dataset.times", EQUAL),
        ("train_dataloader.unknown", EQUAL),
        ("optim_wrapper.paramwise_cfg.groups.qformer.lr_mult", EFFECT),
        ("optim_wrapper.paramwise_cfg.groups.qformer.prefix", EQUAL),
        ("optim_wrapper.unknown", EQUAL),
        ("hooks.WarmupEMAHook.decay", EFFECT),
        ("val_evaluator.protocol", HARMLESS),
        ("randomness.diff_rank_seed", EQUAL),
        ("a_plug_ins_own", EFFECT),
    ],
)
def test_every_key_has_one_verdict(key, expected):
    assert verdict(key) == expected


def test_a_run_whose_prompt_stood_in_the_pipelines_goes_on():
    now = json.loads(json.dumps(Config.fromfile(TINY).to_dict()))
    then = copy.deepcopy(now)
    made = {"prompt": then["model"]["decoder"].pop("prompt"), "tokenizer": {"type": "ByteTokenizer"}}
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        then[loader]["dataset"]["pipeline"].insert(-1, {"type": "TokenizePrompt", **made})
    found = list(changes_of(config_in({"full_config": then}, "old.pth"), now))
    assert {(each.key, each.verdict) for each in found} == {("model.decoder.tokenizer", HARMLESS)}


def test_the_doctor_compares_as_well_and_resume_alone_is_no_new_run(tmp_path, done):
    from mapllava.doctor.settings import start

    cfg = config(tmp_path, randomness={"seed": 7})
    cfg.resume, cfg.load_from = True, str(done / "checkpoint_epoch_1.pth")
    findings = list(start(resolve(cfg)))
    assert [(finding.status, finding.name) for finding in findings] == [("fail", "resume")]
    assert "randomness.seed: 0 then, 7 now" in findings[0].reason + findings[0].remedy
    cfg.randomness.seed = None  # which is 0
    assert not list(start(cfg))
    cfg.load_from = None
    with pytest.raises(MapLLaVAError, match="resume=True without a checkpoint"):
        build_runner(cfg)


def test_what_an_older_version_did_not_fill_in_is_no_difference():
    now = resolve(Config.fromfile(TINY.with_name("synthetic_points.py"))).to_dict()
    then = copy.deepcopy(now)
    del then["model"]["neck"]["map_spec"], then["model"]["map_queries"]["num_points"]
    assert list(changes_of(then, now)) == []
    then["model"]["map_queries"]["num_points"] = 10
    del then["model"]["head"]["num_points"], then["map_spec"]
    assert {(each.key, each.verdict) for each in changes_of(then, now)} == {
        ("model.map_queries.num_points", EQUAL), ("model.head.num_points", EQUAL), ("map_spec", EQUAL),
    }  # fmt: skip


def test_a_number_of_ones_own_in_a_part_is_a_difference():
    """It is none only where it is the one that resolve() copies there."""
    then = {"model": {"neck": {"type": "MyNeck"}, "head": {"num_points": 20}}}
    now = copy.deepcopy(then)
    now["model"]["neck"]["num_points"] = 20
    assert list(changes_of(then, now)) == []
    now["model"]["neck"].update(num_points=64)
    (found,) = changes_of(then, now)
    assert (found.key, found.then, found.now, found.verdict) == ("model.neck.num_points", None, 64, EQUAL)
