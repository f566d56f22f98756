"""What is counted on fake tensors, against a real step of the tiny models on the CPU."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measured import measured_peak
from mapllava.analysis.cost import (
    SampleShape,
    StepRecorder,
    build_meta,
    build_optimizer,
    example_batch,
    record_step,
    training_step,
)
from mapllava.analysis.cost.model_parts import buffer_bytes, model_parts, optimizer_bytes
from mapllava.registry import MODELS

pytestmark = pytest.mark.slow

TOLERANCE = 0.15
CASES = [
    ("synthetic", "bfloat16", {}),
    ("synthetic", None, {"decoder.gradient_checkpointing": True}),
    ("synthetic_qformer", "bfloat16", {"neck.qformer.gradient_checkpointing": True}),
    ("synthetic_no_llm", "bfloat16", {}),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}-{len(case[2])}")
def step(request, read):
    """Config, batch, dtype and changed values of a case."""
    name, dtype, options = request.param
    cfg = read(name, **options)
    return cfg, example_batch(SampleShape.from_config(cfg), 2), dtype, options


def test_peak_memory_is_what_pytorchs_allocator_gives_out(step):
    cfg, batch, dtype, _ = step
    counted = record_step(build_meta(cfg.model), batch, dtype, gpu=False)
    model = MODELS.build(cfg.model).train()
    training_step(model, batch, dtype)
    model.zero_grad()
    measured = measured_peak(lambda: training_step(model, batch, dtype))
    assert counted.peak - counted.held == pytest.approx(measured, rel=TOLERANCE)
    assert counted.grads == sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    assert counted.peak_activations < counted.peak - counted.held + 1
    held = sum(part.weight_bytes for part in model_parts(model, {})) + buffer_bytes(model)
    assert counted.held == pytest.approx(held, rel=0.01)


def test_arithmetic_is_what_pytorchs_counter_sees(step):
    cfg, batch, dtype, options = step
    counted = record_step(build_meta(cfg.model), batch, dtype, gpu=False)
    model = MODELS.build(cfg.model).train()
    with FlopCounterMode(display=False) as real, sdpa_kernel(SDPBackend.MATH):
        training_step(model, batch, dtype)
    assert sum(counted.flops.values()) == pytest.approx(real.get_total_flops(), rel=TOLERANCE)
    assert any(phase == "recompute" for phase, _ in counted.flops) == bool(options)


@pytest.mark.parametrize("name", ["synthetic", "synthetic_no_llm"])
def test_the_optimisers_state_is_what_it_keeps_after_a_step(name, read):
    cfg = read(name)
    state, _ = optimizer_bytes(build_meta(cfg.model), cfg.optim_wrapper)
    model = MODELS.build(cfg.model)
    optimizer = build_optimizer(model, cfg.optim_wrapper)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    kept = [value for values in optimizer.state.values() for value in values.values()]
    real = sum(value.nbytes for value in kept if isinstance(value, torch.Tensor) and value.ndim)
    assert state == pytest.approx(real, rel=0.02)


def test_one_multiplication_by_hand():
    """(3, 4) by (4, 5): 2 * 3 * 4 * 5 forward, twice that backward; 3 * 5 results of four bytes."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 5, bias=False))
    x = torch.ones(3, 4, requires_grad=True)
    recorder = StepRecorder(model)
    with recorder:
        recorder.hold(model.parameters())
        y = model(x)
        assert (recorder.held, recorder.live) == (80, 80 + 60)
        y.backward(torch.ones(3, 5))
    assert recorder.flops == {("forward", "0"): 120, ("backward", "0"): 240}
    assert recorder.grads == 80
    recorder.remove()
    with recorder:
        model(x)
    assert recorder.flops["forward", "0"] == 120, "hooks are off: this one counts for no part"
