"""Memory and one step of training, on set-ups that do and do not learn."""

import shutil
from collections import namedtuple
from functools import partialmethod

import pytest
import torch

from mapllava.checkpoint import arithmetic
from mapllava.doctor import FAIL, OK, SKIP, WARN, memory, training_step
from mapllava.doctor.memory import Device, device
from mapllava.models.map_llava import MapLLaVA
from mapllava.models.necks.bev_qformer_neck import BEVQFormerNeck
from mapllava.testing import write_tiny_llama

Usage = namedtuple("Usage", "total used free")
UNUSED = """
import torch
from mapllava.models.map_llava import MapLLaVA
from mapllava.registry import MODELS

@MODELS.register_module(force=True)
class Forgetful(MapLLaVA):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.forgotten = torch.nn.Linear(3, 4)
        self.severed = torch.nn.Linear(1, 1, bias=False)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        losses = super().forward(inputs, data_samples, mode)
        return {**losses, "loss_severed": 0 * self.severed.weight.sum()}
"""


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


def test_a_step_with_the_norm_of_every_group(set_up, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    report = set_up.report("step")
    assert {each.status for each in report.values()} == {OK}
    assert "MapLLaVA: " in report["model"].reason
    assert "loss_bev_bce" in report["losses"].reason
    groups = ["gradients new", "gradients new/matrices", "gradients new/no_decay"]
    assert sorted(name for name in report if name.startswith("gradients")) == groups
    assert all(report[name].reason.startswith("norm ") for name in groups)
    assert "for 2 samples, peak " in report["step"].reason
    assert sorted(tmp_path.rglob("*")) == before


def test_a_loss_that_is_no_number(set_up):
    report = set_up.report("step", options=["model.data_preprocessor.std=[1e-38,1e-38,1e-38]"])
    assert report["losses"].status == FAIL
    assert "not finite: " in report["losses"].reason
    assert "first in the batch as the model gets it (inputs.img); samples " in report["losses"].reason
    assert "data_preprocessor's mean and std" in report["losses"].remedy
    assert "step" not in report


def test_the_part_where_it_begins_is_named(set_up, monkeypatch):
    real = BEVQFormerNeck.forward
    broken = partialmethod(lambda self, feats, *args: real(self, feats * float("nan"), *args))
    monkeypatch.setattr(BEVQFormerNeck, "forward", broken)
    finding = set_up.report("step")["losses"]
    assert finding.status == FAIL
    assert "not finite: loss, " in finding.reason
    assert "; first in neck." in finding.reason


def test_parameters_without_gradient(set_up, tmp_path):
    plugin = tmp_path / "forgetful.py"
    plugin.write_text(UNUSED)
    set_up.append("model['type'] = 'Forgetful'\noptim_wrapper = dict(paramwise_cfg=dict(groups=dict(")
    set_up.append("    cut=dict(prefix='severed'), lost=dict(prefix='forgotten'))))")
    report = set_up.report("step", plugins=[str(plugin)])
    assert report["gradients lost"].status == FAIL
    assert "1 of 1 parameters get none: forgotten.weight" in report["gradients lost"].reason
    assert report["gradients cut"].status == WARN
    assert "norm 0," in report["gradients cut"].reason
    assert "step" not in report


def test_a_gradient_that_is_no_number(set_up, monkeypatch):
    real = training_step._gradients

    def spoilt(model, wrapper):
        model.neck.qformer.backbone.layernorm.weight.grad[0] = float("inf")
        return real(model, wrapper)

    monkeypatch.setattr(training_step, "_gradients", spoilt)
    (finding,) = (each for each in set_up.report("step").values() if each.status == FAIL)
    assert "not finite in 1 parameters, first neck.qformer.backbone.layernorm.weight" in finding.reason


def test_out_of_memory_says_what_to_lower(set_up, monkeypatch):
    def forward(self, inputs, data_samples=None, mode="tensor"):
        if not inputs["img"].is_meta:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(MapLLaVA, "forward", forward)
    finding = set_up.report("step", options=["train_dataloader.batch_size=4"])["step"]
    assert finding.status == FAIL
    assert "out of memory on CPU" in finding.reason
    assert "with batches of 4" in finding.reason
    assert "train_dataloader.batch_size=2 optim_wrapper.accumulative_counts=2" in finding.remedy


def test_a_model_that_does_not_build(set_up):
    report = set_up.report("step", options=["model.data_preprocessor.std=[0.0,0.0,0.0]"])
    assert report["memory"].status == SKIP
    assert report["step"].status == FAIL
    assert "the model cannot be built" in report["step"].reason


def test_state_that_does_not_fit_the_device(set_up, monkeypatch):
    monkeypatch.setattr(memory, "device", lambda: Device("cpu", "RTX 3090", 10**7, 10**7))
    report = set_up.report("step")
    assert report["memory"].status == FAIL
    assert "before activations (weights " in report["memory"].reason
    assert "RTX 3090 has 10.0 MB" in report["memory"].reason
    assert "freeze more" in report["memory"].remedy
    assert "batch_size" not in report["memory"].remedy, "weights alone are too much"
    assert f"mapllava plan {set_up.config}" in report["memory"].remedy
    assert report["step"].reason == "not looked at: memory failed"


def test_what_sharding_would_refuse_is_no_skipped_count(set_up, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    set_up.append("model_wrapper_cfg = dict(type='FSDP2Wrapper', units=['Blok'])")
    finding = set_up.report("memory")["memory"]
    assert finding.status == FAIL
    assert "model_wrapper_cfg.units" in finding.reason
    assert "Blok" in finding.reason


def test_a_device_that_others_use(set_up, monkeypatch):
    monkeypatch.setattr(memory, "device", lambda: Device("cpu", "RTX 3090", 10**12, 10**7))
    assert "end what else runs there" in set_up.report("memory")["memory"].remedy


@pytest.mark.usefixtures("with_bfloat16")
def test_full_size_is_counted_without_memory(set_up, monkeypatch):
    monkeypatch.setattr(memory, "device", lambda: Device("cpu", "A100", 40 * 10**9, 40 * 10**9))
    root = set_up.config.read_text().split('"')[1].removesuffix("synthetic.py")
    set_up.config.write_text(f"_base_ = ['{root}trainval.py']")
    report = set_up.report("memory")
    assert report["memory"].status == OK
    assert "weights 15.8 GB" in report["memory"].reason  # 7.7 billion, frozen ones in bfloat16
    assert report["checkpoints"].status == OK
    monkeypatch.setattr(arithmetic, "cpu_has_bfloat16", lambda: False)
    full = set_up.report("memory")["memory"]
    assert "weights 31.0 GB" in full.reason


def test_shapes_come_from_the_folder_that_is_named(set_up, tmp_path):
    folder = write_tiny_llama(tmp_path / "llama")
    options = [f"model.decoder.pretrained={folder}", "model.decoder.architecture.num_hidden_layers=2000"]
    size = set_up.report("memory", options=options)["memory"].reason
    assert float(size.split(" MB")[0]) < 100


@pytest.mark.parametrize(("free", "status"), [(10**3, FAIL), (10**13, OK)])
def test_checkpoints_against_the_disk(free, status, set_up, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free, 0, free))
    finding = set_up.report("memory")["checkpoints"]
    assert finding.status == status
    assert "a run leaves about" in finding.reason


def test_batches_in_flight_against_shared_memory(set_up, monkeypatch):
    sizes = {"/dev/shm": 1000}
    usage = lambda path: Usage(10**12, 0, sizes.get(str(path), 10**12))  # noqa: E731
    monkeypatch.setattr(training_step.shutil, "disk_usage", usage)
    finding = set_up.report("step", options=["train_dataloader.num_workers=2"])["loading"]
    assert finding.status == FAIL
    assert "2 loading process(es) keep up to" in finding.reason
    assert "--shm-size=8g" in finding.remedy


def test_the_cpu_has_the_memory_that_it_has():
    found = device()
    assert found.name == "cpu"
    assert 10**8 < found.free <= found.memory
