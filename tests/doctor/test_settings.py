"""Settings that contradict each other, the data or the machine."""

import pytest
import torch

from mapllava.doctor import FAIL, OK, SKIP, WARN
from mapllava.doctor import settings as module

QUANTIZED = "model.decoder.quantization.bits=4"


@pytest.mark.parametrize(
    ("options", "name", "status", "reason"),
    [
        (["val_dataloader=None"], "validation", FAIL, "val_dataloader not set though"),
        (["val_dataloader=None", "val_cfg=None", "val_evaluator=None"], "validation", WARN, "no best_model"),
        (["train_cfg.val_begin=50"], "validation", FAIL, "begins with epoch 50 of 40: never"),
        (["val_evaluator.protocol=maptrr"], "val_evaluator", FAIL, "maptrr"),
        (["train_dataloader.batch_size=0"], "train_dataloader", FAIL, "batch_size is 0"),
        (["val_dataloader.dataset=None"], "val_dataloader", FAIL, "batch_size=2 of no data"),
        (["train_dataloader.persistent_workers=True"], "train_dataloader", FAIL, "needs num_workers of 1"),
        (["train_dataloader.num_workers=999"], "train_dataloader", WARN, "999 loading processes on"),
        (["optim_wrapper.dtype=float16"], "precision", WARN, "no loss scaler"),
        ([QUANTIZED], "model.decoder", FAIL, "4-bit weights cannot be trained: set frozen=True"),
        ([QUANTIZED, "model.decoder.frozen=True"], "settings", OK, "no contradictions"),
        (["model.decoder.frozen=True", "model.decoder.lora.rank=2"], "model.decoder", FAIL, "no alpha"),
        ([QUANTIZED, "model.decoder.frozen=True", "model_wrapper_cfg.type=FSDP2Wrapper"], "sharding", FAIL,
         "MuonAdamW needs whole gradients"),
        (["load_from=gone.pth"], "load_from", FAIL, "checkpoint 'gone.pth' is not there"),
        (["optim_wrapper.accumulative_counts=1000"], "schedule", FAIL, "no update has so many"),
        (["optim_wrapper.accumulative_counts=2", "schedule_unit=batch"], "schedule", FAIL,
         "in updates of the weights now"),
        (["train_cfg.max_epochs=2"], "warm-up", WARN, "100 updates, the whole run in one process makes 12"),
        (["train_cfg.max_epochs=20"], "warm-up", WARN, "LinearLR lasts 100 updates, the whole run"),
        (["optim_wrapper.accumulative_counts=2", "train_cfg.max_epochs=200"], "learning rate", WARN,
         "meant for 2 samples an update, in one process it gets 4"),
        (["train_dataloader.dataset.data_root=gone"], "schedule", SKIP, "the training data cannot be read"),
        ([], "schedule", OK, "12 samples, 6 batches an epoch, 240 updates in one process"),
    ],
)  # fmt: skip
def test_contradictions(options, name, status, reason, set_up, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name)  # with or without the extras
    finding = set_up.report("settings", options=options)[name]
    assert finding.status == status, finding
    assert reason in finding.reason
    assert finding.remedy or status in (OK, SKIP)


def test_a_hook_that_cannot_be_built(set_up):
    set_up.append("custom_hooks = [dict(type='RunSummaryHook'), dict(type='RunCheckpointHook', interval=0)]")
    finding = set_up.report("settings")["custom_hooks.1"]
    assert finding.status == FAIL
    assert "all must be >= 1" in finding.reason
    assert finding.remedy == "put custom_hooks.1 (RunCheckpointHook) right"


def test_bfloat16_on_a_card_without_it(set_up, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    finding = set_up.report("settings")["precision"]
    assert finding.status == FAIL
    assert "bfloat16, which Tesla V100 does not compute in" in finding.reason
    assert finding.remedy == "set optim_wrapper.dtype=float16"


def test_an_extra_that_is_not_installed(set_up, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    finding = set_up.report("settings", options=[QUANTIZED, "model.decoder.frozen=True"])["model.decoder"]
    assert finding.status == FAIL
    assert "model.decoder.quantization needs bitsandbytes" in finding.reason
    assert finding.remedy == "pip install -r requirements/quant.txt"
