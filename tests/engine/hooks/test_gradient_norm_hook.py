"""Norms of parameter groups: right, before clipping, of whole accumulated gradients, and only when logged."""

import json
import math

import pytest
import torch
from toy import toy_config

from mapllava.engine import AutocastOptimWrapper, build_runner
from mapllava.engine.hooks.gradient_norm_hook import group_norms


def groups_config(work_dir, interval=1, accumulate=1, **optim_wrapper):
    cfg = toy_config(work_dir, epochs=2)
    cfg.custom_hooks += [{"type": "GradientNormHook"}]
    cfg.default_hooks.logger.interval = interval
    cfg.log_processor = {"type": "MapLogProcessor"}
    cfg.visualizer = {
        "type": "Visualizer",
        "vis_backends": [{"type": "LocalVisBackend"}, {"type": "OptionalTensorboardVisBackend"}],
    }
    cfg.optim_wrapper = {
        "type": "AutocastOptimWrapper",
        "optimizer": {"type": "AdamW", "lr": 0.01},
        "constructor": "MapOptimWrapperConstructor",
        "paramwise_cfg": {"groups": {"base": {"prefix": "base", "lr_mult": 0.1}}},
        "accumulative_counts": accumulate,
        **optim_wrapper,
    }
    return cfg


def lines(work_dir):
    (file,) = work_dir.glob("*/vis_data/scalars.json")
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    return [entry for entry in entries if "loss" in entry]


def test_norms_are_those_of_the_gradients_by_group_and_decay_does_not_divide_them():
    a, b, c, frozen = (torch.nn.Parameter(torch.zeros(2)) for _ in range(4))
    a.grad, b.grad, c.grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0]), torch.tensor([6.0, 8.0])
    groups = [
        {"params": [a], "name": "qformer"},
        {"params": [b], "name": "qformer/no_decay"},
        {"params": [c], "name": "new/matrices"},
        {"params": [frozen], "name": "unused"},
    ]
    found = group_norms(torch.optim.SGD(groups, lr=0.1))
    assert {name: norm.item() for name, norm in found.items()} == {"qformer": 5.0, "new_matrices": 10.0}


def test_every_line_has_the_norm_before_clipping_and_groups_add_up_to_the_whole(tmp_path):
    build_runner(groups_config(tmp_path, clip_grad={"max_norm": 1e-3})).train()
    first = lines(tmp_path)[0]
    parts = first["grad_norm/base"], first["grad_norm/new"]
    assert math.hypot(*parts) == pytest.approx(first["grad_norm"], rel=1e-5)
    assert first["grad_norm"] > 1.0, "clipping came afterwards"
    assert first["new_lr"] == pytest.approx(10 * first["base_lr"])
    assert first["memory"] > 0
    assert [path.name for path in tmp_path.glob("*/vis_data/events.out.tfevents*")]


def test_a_line_shows_the_last_norm_and_not_a_mean_of_old_ones(tmp_path, monkeypatch):
    values = iter(range(1, 99))
    monkeypatch.setattr(
        "mapllava.engine.hooks.gradient_norm_hook.group_norms", lambda _: {"new": float(next(values))}
    )
    build_runner(groups_config(tmp_path)).train()
    assert [entry["grad_norm/new"] for entry in lines(tmp_path)] == list(range(1, 9))


@pytest.mark.parametrize(
    ("interval", "accumulate", "measured"),
    [(1, 1, [1, 2, 3, 4]), (2, 1, [2, 4]), (10, 1, [4]), (3, 2, [2]), (4, 2, [4]), (2, 4, [4])],
)
def test_only_the_update_ahead_of_a_line_is_measured(tmp_path, monkeypatch, interval, accumulate, measured):
    """Four batches an epoch; which of the first epoch's batches pay for a norm."""
    seen = []
    cfg = groups_config(tmp_path, interval, accumulate)
    runner = build_runner(cfg)
    monkeypatch.setattr(
        "mapllava.engine.hooks.gradient_norm_hook.group_norms", lambda _: seen.append(runner.iter + 1) or {}
    )
    runner.train()
    assert [step for step in seen if step <= 4] == measured


def test_accumulated_gradients_are_measured_whole():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [weight], "name": "new"}], lr=1.0)
    wrapper = AutocastOptimWrapper(optimizer, accumulative_counts=2, clip_grad={"max_norm": 0.1})
    norms = []
    wrapper.before_clip.append(lambda optimizer: norms.append(group_norms(optimizer)["new"].item()))
    wrapper.update_params((2 * weight).sum())
    assert norms == []
    wrapper.update_params((6 * weight).sum())
    assert norms == [4.0], "the mean of both batches' gradients, not clipped to 0.1"


@pytest.mark.parametrize(
    ("wrapper", "words"),
    [
        ({"type": "OptimWrapper", "constructor": None}, "optim_wrapper.type='AutocastOptimWrapper'"),
        ({"constructor": None}, "optim_wrapper.constructor='MapOptimWrapperConstructor'"),
    ],
)
def test_what_it_needs_is_said_once_and_the_run_goes_on(tmp_path, wrapper, words):
    cfg = groups_config(tmp_path, **wrapper)
    cfg.optim_wrapper = {key: value for key, value in cfg.optim_wrapper.items() if value is not None}
    if "constructor" not in cfg.optim_wrapper:
        cfg.optim_wrapper.pop("paramwise_cfg")
    runner = build_runner(cfg)
    said = []
    runner.logger.warning = said.append
    try:
        runner.train()
    finally:
        del runner.logger.warning
    (warning,) = [text for text in said if "GradientNormHook" in text]
    assert words in warning
    assert not [key for key in lines(tmp_path)[0] if "/" in key]
