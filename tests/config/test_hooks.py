"""Hooks by name: adding, changing and leaving out one line each, and a run that would save nothing."""

import pytest
from mmengine.config import Config

from mapllava.config.hooks import hooks_of
from mapllava.doctor.settings import saving
from mapllava.engine import build_runner
from mapllava.engine.runner.run_checks import check_parts, check_saving
from mapllava.errors import MapLLaVAError
from tests.config.test_check import TINY, child, load  # noqa: F401


def kinds(cfg):
    return [hook["type"] for hook in hooks_of(cfg)]


def test_one_more_hook_leaves_the_others_where_they_are(child):  # noqa: F811
    before = kinds(load(TINY))
    assert {"RunCheckpointHook", "SafeCheckpointHook", "WarmupEMAHook"} <= set(before)
    mine = "dict(type='EarlyStoppingHook', monitor='mAP')"
    for text in (f"default_hooks = dict(stop={mine})", f"custom_hooks = [{mine}]"):
        cfg = load(child(text))
        assert kinds(cfg) == [*before, "EarlyStoppingHook"]
        check_saving(cfg)


def test_a_hook_is_changed_and_left_out_by_its_name(child):  # noqa: F811
    cfg = load(child("default_hooks = dict(checkpoint=dict(max_keep=7), ema=None)"))
    by_type = {hook["type"]: hook for hook in hooks_of(cfg)}
    assert by_type["RunCheckpointHook"]["max_keep"] == 7
    assert "WarmupEMAHook" not in by_type


def test_the_runner_leaves_out_hooks_of_any_name(tmp_path):
    from tests.engine.toy import toy_config

    cfg = toy_config(tmp_path)
    cfg.default_hooks.update(mine={"type": "GradientNormHook"}, other=None, timer=None)
    names = [type(hook).__name__ for hook in build_runner(cfg).hooks]
    assert "GradientNormHook" in names
    assert "IterTimerHook" not in names


NEVER = {"type": "CheckpointHook", "interval": 9, "save_last": False}
SAVES_NOTHING = {
    "left out": {"default_hooks": {"checkpoint": None}},
    "never due": {
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 9, "save_last": False}}
    },
    "would not say what they are of": {"default_hooks": {}},
    "no epoch": {"train_cfg": {"max_epochs": 0}},
    "an epoch named True": {"train_cfg": {"max_epochs": True}},
    "half an epoch": {"train_cfg": {"max_epochs": 0.5}},
    "no validation": {"train_cfg": {"max_epochs": 3, "val_interval": 0}},
    "no iteration": {"train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 0}},
}


@pytest.mark.parametrize("changes", SAVES_NOTHING.values(), ids=SAVES_NOTHING)
def test_a_training_that_would_leave_nothing_behind_is_refused(changes):
    cfg = Config({"train_cfg": {"max_epochs": 3}, "custom_hooks": [{"type": "ProgressBarHook"}], **changes})
    with pytest.raises(
        MapLLaVAError, match=r"would save nothing|SafeCheckpointHook|nothing would be (trained|validated)"
    ):
        check_saving(cfg)
    assert [finding.status for finding in saving(cfg)] == ["fail"], "doctor agrees"


@pytest.mark.parametrize("other", ["EMAHook", "WarmupEMAHook"])
def test_two_hooks_that_average_the_weights_are_refused(other):
    hooks = {"checkpoint": {"type": "RunCheckpointHook"}, "safe_checkpoint": {"type": "SafeCheckpointHook"}}
    one = Config(
        {"train_cfg": {"max_epochs": 1}, "default_hooks": {**hooks, "ema": {"type": "WarmupEMAHook"}}}
    )
    check_saving(one)
    two = Config({**one.to_dict(), "custom_hooks": [{"type": other}]})
    with pytest.raises(MapLLaVAError, match=f"WarmupEMAHook and {other} both average the weights"):
        check_saving(two)
    assert [finding.status for finding in saving(two)] == ["fail"], "doctor agrees"


def test_a_training_that_saves_nothing_on_purpose_says_so():
    cfg = Config(
        {"train_cfg": {"max_epochs": 1}, "default_hooks": {"checkpoint": None}, "without_checkpoints": True}
    )
    check_saving(cfg)
    assert [finding.status for finding in saving(cfg)] == ["warn"]


def test_hooks_of_the_wrong_form_say_the_right_one():
    with pytest.raises(MapLLaVAError, match=r"default_hooks = dict\(NAME=dict"):
        hooks_of({"custom_hooks": {"mine": {"type": "EMAHook"}}})
    with pytest.raises(MapLLaVAError, match="default_hooks is"):
        hooks_of({"default_hooks": ["EMAHook"]})


def test_a_config_that_trains_nothing_names_what_it_lacks():
    with pytest.raises(MapLLaVAError, match="sets no train_dataloader, optim_wrapper"):
        check_parts(Config({"model": {"type": "MapLLaVA"}, "train_cfg": {"max_epochs": 1}}))
