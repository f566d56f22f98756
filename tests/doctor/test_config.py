"""Mistakes in a config, each with the line it gets."""

import re
from pathlib import Path

import pytest

from mapllava.config.components import accepted_by
from mapllava.config.keys import is_used, known_keys
from mapllava.doctor import FAIL, OK, WARN
from tests.doctor.set_up import ROOT, SetUp

SHIPPED = sorted((ROOT / "configs").glob("stage*/*.py"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_configs_are_sound(path):
    report = SetUp(ROOT, path).report("file", "keys", "types", "arguments")
    assert {finding.status for finding in report.values()} == {OK}


@pytest.mark.parametrize(
    ("line", "name", "reason", "remedy"),
    [
        ("optim_wraper = dict(dtype=None)", "key optim_wraper", "nothing reads 'optim_wraper' of",
         "did you mean 'optim_wrapper'?"),
        ("model = dict(neck=dict(type='BEVQFormerNek'))", "model.neck", "'BEVQFormerNek' is not registered",
         "did you mean 'BEVQFormerNeck'?"),
        ("model = dict(head=dict(type='Unheard_of_9'))", "model.head", "'Unheard_of_9' is not registered",
         "import the plug-in that registers it: --plugins MODULE"),
        ("model = dict(decoder=dict(_delete_=True, type='LLMMapDecoder', frozn=True))", "model.decoder.frozn",
         "LLMMapDecoder has no argument 'frozn'", "did you mean 'frozen'?"),
        ("optim_wrapper = dict(constructor='MapOptimConstructor')", "optim_wrapper.constructor",
         "type 'MapOptimConstructor' is not registered", "did you mean 'MapOptimWrapperConstructor'?"),
        ("train_dataloader = dict(num_worker=4)", "train_dataloader.num_worker", "there is no key",
         "did you mean 'num_workers'?"),
        ("train_cfg = dict(max_epoch=4)", "train_cfg.max_epoch", "has no argument 'max_epoch'",
         "did you mean 'max_epochs'?"),
        ("randomness = dict(sed=4)", "randomness.sed", "there is no key 'sed'", "did you mean 'seed'?"),
        ("map_spec = dict(zzzz=1)", "map_spec.zzzz", "there is no key 'zzzz'", "there are classes, frame"),
        ("custom_hooks = [dict(type='RunCheckpointHook', keep=3)]", "custom_hooks.0.keep",
         "RunCheckpointHook has no argument 'keep'", "max_keep"),
    ],
)  # fmt: skip
def test_a_slip_of_the_pen_is_named_and_put_right(line, name, reason, remedy, set_up):
    set_up.append(line)
    finding = set_up.report("keys", "types", "arguments")[name]
    assert finding.status == FAIL
    assert reason in finding.reason
    assert remedy in finding.remedy


def test_a_variable_that_reaches_nothing(set_up):
    """Overriding a variable of a base leaves the dicts as they are that the base made of it."""
    set_up.append("data_root = '/elsewhere'")
    finding = set_up.report("keys")["key data_root"]
    assert finding.status == FAIL
    assert "its base has made its dicts of 'data/synthetic' already" in finding.reason
    assert "--cfg-options data_root=… reaches every data set" in finding.remedy
    set_up.append("notes = 'of my own'")
    assert set_up.report("keys")["key notes"].status == WARN


def test_mmengines_own_arguments_are_no_mistakes(set_up):
    set_up.append("custom_hooks = [dict(type='EMAHook', priority='LOW'), dict(type='mmengine.ProfilerHook')]")
    set_up.append("optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='SGD'))")
    report = set_up.report("keys", "types", "arguments")
    assert [each.name for each in report.values()] == ["keys", "types", "arguments"]
    assert {each.status for each in report.values()} == {OK}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model = dict(", "cannot be read: SyntaxError"),
        ("_base_ = ['./gone.py']", "cannot be read: FileNotFoundError"),
        ("model = dict(type='MapLLaVA')", "the config has no top-level map_spec"),
        ("map_spec = dict(frame='lidar', roi=[-1., -1., 1., 1.], classes=['divider'])",
         "sets no model, train_dataloader, optim_wrapper, train_cfg"),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_used(text, reason, set_up):
    set_up.config.write_text(text)
    report = set_up.report("config", "data", "step")
    assert report["file"].status == FAIL
    assert reason in report["file"].reason
    assert {each.reason for name, each in report.items() if name != "file"} == {"not looked at: file failed"}


def test_a_config_that_is_not_there(set_up):
    set_up.config.unlink()
    assert f"config '{set_up.config}' is not there" in set_up.report("file")["file"].reason


def test_variables_are_used_whole_in_parts_or_by_their_items():
    cfg = {"a": {"size": 3, "steps": [{"type": "A"}, {"type": "B", "x": 1}]}, "b": "text"}
    assert is_used("text", cfg)
    assert is_used([{"type": "A"}, {"type": "B", "x": 1}], cfg)
    assert is_used({"size": 3}, cfg)
    assert is_used({"type": "Alternative"}, cfg)
    assert not is_used({"size": 4}, cfg)
    assert not is_used(True, {"a": 1})
    assert not is_used(["text", "other"], cfg)


def test_arguments_follow_kwargs_to_the_parents():
    class Base:
        def __init__(self, a, b=1):
            pass

    class Child(Base):
        def __init__(self, c, **kwargs):
            pass

    class Elsewhere(Base):
        def __init__(self, c, **options):
            pass

    class Anything:
        def __init__(self, c, **kwargs):
            pass

    class Nothing:
        pass

    assert accepted_by(Child) == {"a", "b", "c"}
    assert accepted_by(Elsewhere) is None
    assert accepted_by(Anything) is None
    assert accepted_by(Nothing) == set()
    assert accepted_by(Base, "hook") == {"a", "b", "priority"}
    assert accepted_by(lambda x, *rest: x) == {"x"}


def test_every_key_that_the_code_reads_is_known():
    sources = [*(ROOT / "mapllava" / "engine").rglob("*.py"), ROOT / "mapllava" / "cli" / "train.py"]
    read = {key for path in sources for key in re.findall(r'\bcfg\.get\("(\w+)"', Path(path).read_text())}
    assert len(read) > 10
    assert read - known_keys() <= {"data_root"}  # a variable of the data's base configs
