"""What a config says and would silently not happen, as every command sees it."""

import argparse
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mapllava import registry
from mapllava.cli.command_line import add_run_options, config_of
from mapllava.config.build_errors import explain_config
from mapllava.config.trusted import read_sent_config
from mapllava.config.walk import dicts
from mapllava.doctor import Context, examine
from mapllava.doctor.examination import select
from mapllava.errors import MapLLaVAError
from mapllava.registry import MODELS, TRANSFORMS

CONFIGS = Path(__file__).parents[2] / "configs"
TINY, FULL = CONFIGS / "stage2" / "synthetic.py", CONFIGS / "stage2" / "trainval.py"


@pytest.fixture
def child(tmp_path):
    """Writes a config with a base; returns its path."""

    def write(text, base=TINY, name="child.py"):
        path = tmp_path / name
        path.write_text(f"_base_ = ['{Path(base).as_posix()}']\n{text}\n")
        return path

    return write


def load(path, *options):
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    add_run_options(parser)
    words = ["--cfg-options", *options] if options else []
    return config_of(parser.parse_args([str(path), *words]))


REACH_NOTHING = {
    "a path": (TINY, "data_root = '/city'",
               ("data_root", "train_dataloader.dataset.data_root", "--cfg-options data_root=…")),
    "steps": (TINY, "load_steps = [dict(type='LoadMultiViewImages', size=(96, 54))]",
              ("load_steps", "train_dataloader.dataset.pipeline.0", "val_dataloader.dataset.pipeline.0")),
    "steps of a list": (TINY, "augment_steps = [dict(type='PackMapInputs')]", ("augment_steps",)),
    "weights": (FULL, "vicuna = '/models/vicuna'", ("vicuna", "model.decoder.pretrained")),
    "weights in two places": (FULL, "blip2 = '/b'",
                              ("blip2", "model.vision_encoder.pretrained", "neck.qformer.pretrained")),
    "one of two places told": (
        FULL, "blip2 = '/b'\nmodel = dict(vision_encoder=dict(pretrained='/b'))", ("qformer.pretrained",)
    ),
    "through another variable": (TINY, "data_root = '/city'\nother = data_root", ("data_root",)),
    "a slip": (TINY, "optim_wraper = dict(dtype=None)", ("optim_wraper", "did you mean 'optim_wrapper'?")),
    "a key without its dict": (TINY, "max_epochs = 1", ("max_epochs", "did you mean 'train_cfg.max_epochs'")),
    "a slip further down": (TINY, "train_cfg = dict(max_epoch=3)", ("train_cfg.max_epoch", "'max_epochs'")),
    "a slip in a component": (TINY, "model = dict(neck=dict(cel=2.0))", ("model.neck.cel", "'cell'")),
    "what stands elsewhere now": (TINY, "model = dict(head=dict(losses=dict(pts=dict(weight=3.0))))",
                                  ("model.head.losses", "VectorMapHead", "criterion.losses now")),
    "a slip in a hook's name": (TINY, "default_hooks = dict(chekpoint=dict(max_keep=1))",
                                ("default_hooks.chekpoint", "did you mean 'checkpoint'?")),
    "a slip in what is left out": (TINY, "default_hooks = dict(emma=None)", ("default_hooks.emma", "'ema'")),
}  # fmt: skip


@pytest.mark.parametrize(("base", "text", "words"), REACH_NOTHING.values(), ids=REACH_NOTHING)
def test_what_comes_to_nothing_is_refused_and_named(base, text, words, child):
    path = child(text, base)
    with pytest.raises(MapLLaVAError) as error:
        load(path)
    for word in (str(path), *words):
        assert word in str(error.value)
    checks = select(True, ("keys", "types", "arguments"))
    assert "fail" in {finding.status for _, finding in examine(Context(str(path)), checks)}, "doctor agrees"


def test_a_step_that_made_ids_of_the_prompt_says_where_that_is_done_now(child, tmp_path):
    """In a config and for doctor, or when it is built; in a config that came with a run it is moved there."""
    made = {"prompt": "Draw.", "tokenizer": {"type": "ByteTokenizer"}}
    text = f"pack_steps = [dict(type='TokenizePrompt', **{made}), *_base_.pack_steps]\n"
    path = child(text + "val_dataloader = dict(dataset=dict(pipeline=[*_base_.load_steps, *pack_steps]))")
    cfg = Config.fromfile(path)
    with pytest.raises(MapLLaVAError) as of_config:
        load(path)
    with pytest.raises(KeyError) as of_pipeline:
        TRANSFORMS.build(cfg.pack_steps[0])
    ((_, finding),) = examine(Context(str(path)), select(True, ("types",)))
    for said in (str(of_config.value), f"{finding.name}: {finding.remedy}"):
        assert "val_dataloader.dataset.pipeline.2" in said
    for said in (str(of_config.value), finding.remedy, str(explain_config(of_pipeline.value))):
        assert "take it out; a decoder with a language model tokenizes its own model.decoder.prompt" in said
    cfg.dump(tmp_path / "config.json")
    sent = read_sent_config(tmp_path / "config.json")
    assert "TokenizePrompt" not in str(sent)
    assert sent["val_dataloader"]["dataset"]["pipeline"][2] == {"type": "PackMapInputs"}
    assert made.items() <= sent["model"]["decoder"].items()


def test_a_base_in_the_middle_is_named(child):
    middle = child("data_root = '/city'", name="middle.py")
    with pytest.raises(MapLLaVAError, match=r"'data_root' of .*middle\.py reaches nothing"):
        load(child("run_name = 'mine'", middle))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("vicuna=/models/vicuna", ("vicuna", "model.decoder.pretrained")),
        ("load_steps.0.size=[96,54]", ("load_steps", "train_dataloader.dataset.pipeline.0")),
        ("max_epochs=3", ("max_epochs", "train_cfg.max_epochs")),
        ("train_cfg.max_epoch=3", ("train_cfg.max_epoch", "did you mean 'max_epochs'?")),
        ("optim_wraper.optimizer.lr=1", ("optim_wraper", "did you mean 'optim_wrapper'?")),
        ("zzz=1", ("zzz", "nobody reads it")),
    ],
)
def test_options_that_come_to_nothing_are_refused(option, words):
    with pytest.raises(MapLLaVAError) as error:
        load(FULL, option)
    for word in words:
        assert word in str(error.value)
    checks = select(True, ("keys", "types", "arguments"))
    found = [finding for _, finding in examine(Context(str(FULL), [option]), checks)]
    assert "fail" in {finding.status for finding in found}, "doctor agrees"


def test_names_are_looked_up_in_the_configs_own_scope(child, tmp_path):
    """As MMEngine will, whatever another config has set before."""
    checks = select(True, ("types", "arguments"))
    path = child("default_scope = 'mmengine'")
    with pytest.raises(MapLLaVAError) as error:
        load(path)
    found = {finding.name: finding for _, finding in examine(Context(str(path)), checks)}
    assert found["model.head"].status == "fail"
    for said in (str(error.value), f"{found['model.head'].reason}: {found['model.head'].remedy}"):
        assert "'VectorMapHead' is not registered in the scope 'mmengine'" in said
        assert "did you mean 'mapllava.VectorMapHead'?" in said
    with DefaultScope.overwrite_default_scope("mmengine"):
        load(TINY)
        with pytest.raises(KeyError) as built:
            MODELS.build({"type": "VectorMapHead"})
        assert "did you mean mapllava.VectorMapHead" in str(explain_config(built.value))
    cfg = load(TINY)
    registries = [each for each in vars(registry).values() if isinstance(each, Registry)]
    for _, node in dicts(cfg):
        if any(node.get("type") in each.module_dict for each in registries):
            node["type"] = f"mapllava.{node['type']}"
    cfg.optim_wrapper.constructor = f"mapllava.{cfg.optim_wrapper.constructor}"
    cfg.default_scope, cfg.model._scope_ = "mmengine", "mapllava"
    cfg.model.head.type = "VectorMapHead"  # within the model's scope
    cfg.dump(tmp_path / "prefixed.json")
    load(tmp_path / "prefixed.json")
    found = [finding for _, finding in examine(Context(str(tmp_path / "prefixed.json")), checks)]
    assert {finding.status for finding in found} == {"ok"}
    del cfg.model["_scope_"]
    cfg.dump(tmp_path / "bare.json")
    with pytest.raises(MapLLaVAError, match=r"model\.head: .*did you mean 'mapllava\.VectorMapHead'\?$"):
        load(tmp_path / "bare.json")


HELPERS = {
    "used in the file": "width = 96\nload = [dict(type='LoadMultiViewImages', size=(width, 54)), "
    "*_base_.load_steps[1:]]\nval_dataloader = dict(dataset=dict(pipeline=[*load, *_base_.pack_steps]))",
    "a base's, used anew": "load_steps = [dict(type='LoadMultiViewImages', size=(96, 54))]\n"
    "val_dataloader = dict(dataset=dict(pipeline=[*load_steps, *_base_.pack_steps]))",
    "a base's, with its dicts": "data_root = '/city'\n"
    "train_dataloader = dict(dataset=dict(data_root=data_root))\n"
    "val_dataloader = dict(dataset=dict(data_root=data_root))",
    "a base's, said again": "data_root = 'data/synthetic'",
    "a note": "author = 'me'",
    "read by a plug-in": "my_option = 3\nread_by_plugins = ['my_option']",
    "changed in place": "steps = []\nsteps.append(dict(type='PackMapInputs'))\n"
    "val_dataloader = dict(dataset=dict(pipeline=[*_base_.load_steps, *steps]))",
    "in a loop": "hooks = dict()\nfor name in ('a', 'b'):\n    hooks[name] = dict(type='GradientNormHook')\n"
    "default_hooks = hooks",
    "another neck": "model = dict(neck=dict(_delete_=True, **dict(_base_.model['neck'], cell=2.0)))",
}  # fmt: skip


@pytest.mark.parametrize("text", HELPERS.values(), ids=HELPERS)
def test_helpers_that_reach_something_are_no_mistake(text, child):
    load(child(text))


def test_a_variable_that_only_a_grandchild_uses_is_no_mistake(child):
    middle = child("load_steps = [dict(type='LoadMultiViewImages', size=(96, 54))]", name="middle.py")
    steps = "[*_base_.load_steps, *_base_.pack_steps]"
    text = f"steps = {steps}\nval_dataloader = dict(dataset=dict(pipeline=steps))"
    assert load(child(text, middle)).val_dataloader.dataset.pipeline[0].size == (96, 54)


def test_a_data_root_of_the_command_line_reaches_every_data_set():
    cfg = load(FULL, "data_root=/nuscenes")
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    assert {loader.dataset.data_root for loader in loaders} == {"/nuscenes"}


def test_a_dumped_config_is_as_good_as_the_one_that_it_was_made_of(tmp_path):
    for name in ("config.json", "config.py"):
        load(FULL, "data_root=/nuscenes").dump(tmp_path / name)
        load(tmp_path / name)
