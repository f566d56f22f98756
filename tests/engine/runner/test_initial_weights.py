"""What a run starts from: the weights that were built or loaded, with every shipped config, LoRA or not."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from torch import nn

from mapllava.engine import build_runner
from mapllava.errors import MapLLaVAError
from mapllava.registry import DATASETS, HOOKS
from mapllava.testing import write_tiny_blip2, write_tiny_clip, write_tiny_llama

CONFIGS = Path(__file__).parents[3] / "configs"
LEAVES = sorted(
    path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob("stage*/*.py") if path.is_file()
)
LORA = {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": "all-linear"}
SMALL = {"hidden_size": 24, "num_attention_heads": 4, "intermediate_size": 48, "num_hidden_layers": 2}


class StartedError(Exception):
    """Training has started."""


@HOOKS.register_module(force=True)
class StopAtTheStart(Hook):
    """Ends a run at its first step, when the weights are what it starts from."""

    priority = "LOWEST"

    def before_train(self, runner):
        raise StartedError


@DATASETS.register_module(force=True)
class NoSamples(torch.utils.data.Dataset):
    metainfo = {}

    def __init__(self, map_spec=None):
        pass

    def __len__(self):
        return 1


@pytest.fixture(autouse=True)
def plain_config_text(monkeypatch):
    """MMEngine lays out a config's text anew at every save, which takes longer than these starts."""
    for place in ("mmengine.config.config", "yapf.yapflib.yapf_api"):  # onedl-mmengine's is the latter
        monkeypatch.setattr(f"{place}.FormatCode", lambda text, **_: (text, True), raising=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("weights")
    return {
        "blip2": str(write_tiny_blip2(root / "blip2")),
        "clip": str(write_tiny_clip(root / "clip")),
        "llama": str(write_tiny_llama(root / "llama")),
    }


def _shrink(encoder: dict) -> None:
    """A backbone of no files, since its family has no tiny folder here."""
    sizes = {"hidden_size": 24, "num_attention_heads": 2, "num_hidden_layers": 2}
    if encoder["architecture"]["model_type"] == "resnet":
        sizes = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "embedding_size": 8}
    encoder["pretrained"] = None
    encoder["architecture"].update(sizes)


def tiny(name: str, folders: dict[str, str], lora: bool) -> Config:
    """A shipped config with tiny weights for its big parts, and no data."""
    cfg = Config.fromfile(CONFIGS / name)
    model = cfg.model
    qformer = model.neck.qformer
    if "synthetic" not in name:
        if model.vision_encoder.type == "BackboneEncoder":
            _shrink(model.vision_encoder)
        else:
            model.vision_encoder.pretrained = folders["clip" if "llava" in name else "blip2"]
        if qformer.get("pretrained"):
            qformer.pretrained = folders["blip2"]
        else:
            qformer.architecture.update(SMALL)
        model.neck.update(cell=5.0, tokens=dict(stride=3, skip=True, probe=0.3))
        if model.decoder.type == "LLMMapDecoder":
            model.decoder.pretrained = folders["llama"]
        else:
            model.decoder.update(embed_dims=32, num_layers=1)
    if "smollm2" in name:
        model.decoder.pretrained = folders["llama"]
    if lora:
        adapt = {"frozen": True, "lora": LORA}
        parts = [qformer, *(model[key] for key in ("vision_encoder", "decoder") if "frozen" in model[key])]
        if "r50" in name or "resnet" in name:  # it has no linear layer
            parts.remove(model.vision_encoder)
        for part in parts:
            part.update(adapt)
    cfg.train_dataloader = dict(
        batch_size=1, dataset=dict(type="NoSamples"), sampler=dict(type="DefaultSampler")
    )
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.default_hooks = cfg.param_scheduler = None
    cfg.model_wrapper_cfg = cfg.load_from = None
    cfg.custom_hooks = [dict(type="StopAtTheStart")]
    return cfg


def start(cfg: Config, folder: Path) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """Run up to the first step; the model, and its tensors as they were built."""
    cfg.work_dir = str(folder)
    runner = build_runner(cfg)
    built = {key: value.clone() for key, value in runner.model.state_dict().items()}
    with pytest.raises(StartedError):
        runner.train()
    assert runner.model.state_dict().keys() == built.keys()
    return runner.model, built


@pytest.mark.parametrize("lora", [False, True], ids=["", "lora"])
@pytest.mark.parametrize("name", LEAVES)
def test_a_run_starts_from_what_was_built(name, lora, folders, tmp_path):
    pytest.importorskip("peft")
    pytest.importorskip("bitsandbytes")
    model, built = start(tiny(name, folders, lora), tmp_path)
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, built[key])]
    assert changed == []
    second = {key: value for key, value in built.items() if ".lora_B." in key}
    assert bool(second) == (lora or name in ("stage2/trainval_lora.py", "stage2/trainval_dinov2.py"))
    assert not any(value.any() for value in second.values())


class OwnWay(BaseModule):
    """A plug-in's part that draws in ``init_weights``, as MMEngine has it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def init_weights(self):
        nn.init.constant_(self.weight, 5.0)


class Drawn(BaseModule):
    def __init__(self, init_cfg):
        super().__init__(init_cfg)
        self.linear = nn.Linear(2, 2)


class Foreign(nn.Module):
    """A part from elsewhere whose ``init_weights`` starts all over, as timm's do; parts of ours inside."""

    def __init__(self):
        super().__init__()
        self.loaded = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.norm.running_mean.fill_(4.0)
        self.inner = nn.ModuleList([Drawn({"type": "Constant", "layer": "Linear", "val": 7.0}), OwnWay()])

    def init_weights(self):
        nn.init.zeros_(self.loaded.weight)
        self.norm.reset_running_stats()


@HOOKS.register_module(force=True)
class AddPart(Hook):
    """Puts a part into the model before MMEngine initialises it."""

    part: nn.Module

    def before_run(self, runner):
        runner.model.part = AddPart.part


def started(part: nn.Module, folders: dict[str, str], folder: Path) -> None:
    cfg = tiny("stage2/synthetic_no_llm.py", folders, False)
    AddPart.part = part
    cfg.custom_hooks = [dict(type="AddPart"), *cfg.custom_hooks]
    cfg.work_dir = str(folder)
    with pytest.raises(StartedError):
        build_runner(cfg).train()


def test_parts_from_elsewhere_stay_and_those_of_mmengine_are_initialised(folders, tmp_path):
    part = Foreign()
    loaded = part.loaded.weight.clone()
    started(part, folders, tmp_path)
    assert torch.equal(part.loaded.weight, loaded)
    assert part.norm.running_mean.eq(4.0).all()
    assert part.inner[0].linear.weight.eq(7.0).all()
    assert part.inner[1].weight.eq(5.0).all()


def test_init_cfg_over_loaded_weights_is_refused(folders, tmp_path):
    cfg = tiny("stage2/trainval.py", folders, False)
    cfg.model.init_cfg = {"type": "Xavier", "layer": "Linear"}
    cfg.work_dir = str(tmp_path)
    with pytest.raises(MapLLaVAError, match=r"model\.init_cfg would draw anew .*vision_encoder\.backbone"):
        build_runner(cfg).train()


def test_a_pretrained_encoder_is_loaded_whole_or_refused(folders, tmp_path):
    donor = Drawn(None)
    torch.save(
        {"state_dict": {f"backbone.{k}": v for k, v in donor.state_dict().items()}}, tmp_path / "a.pth"
    )
    torch.save({"backbone.other": torch.ones(2)}, tmp_path / "b.pth")
    init_cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth"), "prefix": "backbone."}
    part = Drawn(init_cfg)
    started(part, folders, tmp_path)
    assert torch.equal(part.linear.weight, donor.linear.weight)
    part = Drawn({**init_cfg, "checkpoint": str(tmp_path / "b.pth")})
    with pytest.raises(MapLLaVAError, match=r"part\.init_cfg: .*b\.pth.*\n.*linear\.weight, linear\.bias"):
        started(part, folders, tmp_path)


def test_packed_parts_are_left_alone(folders, tmp_path):
    pytest.importorskip("bitsandbytes")
    cfg = tiny("stage2/trainval_4bit.py", folders, False)
    cfg.model.neck.qformer.update(frozen=True, quantization={"bits": 8})
    model, built = start(cfg, tmp_path)
    assert all(torch.equal(value, built[key]) for key, value in model.state_dict().items())
