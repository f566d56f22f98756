"""Plans: 7 billion parameters without memory, and how one of several is chosen."""

from dataclasses import replace

import pytest
import torch

from mapllava.analysis.cost import PlanOptions, SampleShape, build_meta, choose, example_batch, make_plans
from mapllava.analysis.cost.memory_plan import GIB
from mapllava.analysis.cost.model_parts import (
    dequantized_bytes,
    model_parts,
    with_checkpointing,
    without_quantization,
)
from mapllava.analysis.cost.plan_report import advice
from mapllava.errors import MapLLaVAError

pytestmark = pytest.mark.slow

PHASES = ("forward", "recompute", "backward")
LAYERS, WIDTH, HIDDEN = 32, 4096, 11008  # Vicuna-7B
LINEAR = LAYERS * (4 * WIDTH**2 + 3 * WIDTH * HIDDEN)


def plans_of(cfg, gpus=1, gpu_memory=24.0, batches=(1,), total=8):
    options = PlanOptions(gpus, gpu_memory, batches, total)
    return make_plans(cfg, options), options


@pytest.fixture(scope="module")
def full_size(read):
    """All plans of trainval at batch 1 on 8 GPUs, once: several seconds."""
    cfg = read("trainval", **{"neck.qformer.gradient_checkpointing": False})  # apart from what "on" is
    plans, _ = plans_of(cfg, gpus=8, total=32)
    return {(plan.weights, plan.checkpointing): plan for plan in plans}


def test_7b_weights_and_what_4_bits_save(full_size):
    whole, packed = full_size["as configured", "as configured"], full_size["4-bit", "as configured"]
    assert 2 * LINEAR < whole.memory["weights"] < 18 * GIB
    assert packed.memory["weights"] < 5 * GIB
    assert packed.memory["unpacked weight"] == 2 * WIDTH * HIDDEN
    unchanged = ("optimiser", "gradients", "activations")
    assert {name: whole.memory[name] for name in unchanged} == {
        name: packed.memory[name] for name in unchanged
    }


def test_7b_arithmetic_is_that_of_its_matrices(full_size):
    """Two operations per weight and token forward, two for gradients of inputs, none of frozen weights."""
    plan = full_size["as configured", "as configured"]
    tokens = 1 + 20 + 768 + 50
    forward = 2 * LINEAR * tokens
    assert plan.flops["forward", "decoder"] == pytest.approx(forward, rel=0.1)
    assert plan.flops["backward", "decoder"] == pytest.approx(forward, rel=0.2)
    assert ("backward", "vision_encoder") not in plan.flops


def test_checkpointing_takes_memory_down_and_arithmetic_up(full_size):
    off, on = (full_size["as configured", name] for name in ("off", "on"))
    assert off.memory["activations"] > 3 * on.memory["activations"]
    assert off.flops_of("recompute") == 0
    assert off.flops_of("forward", "backward") == pytest.approx(on.flops_of("forward", "backward"))
    assert on.flops_of("recompute") == pytest.approx(on.flops["forward", "decoder"], rel=0.25)


def test_memory_adds_up_and_grows_with_the_batch(read):
    cfg = read("synthetic")
    plans, _ = plans_of(cfg, batches=(1, 2))
    one, two = (plan for plan in plans if plan.checkpointing == "as configured")
    assert "average" not in plans_of({**cfg, "default_hooks": {}})[0][0].memory
    for plan in (one, two):
        assert plan.total == pytest.approx(sum(plan.memory.values()))
        assert plan.allocated < plan.total
        assert plan.fits
    full = one.total / GIB  # a card of exactly this size: nothing would stay free
    options = {"gpu_memory": full, "batches": (1,)}
    assert not next(p for p in plans_of(cfg, **options)[0] if p.checkpointing == "as configured").fits
    assert (one.accumulation, two.accumulation) == (8, 4)
    assert 1.5 < two.memory["activations"] / one.memory["activations"] < 2.2
    assert two.flops_of(*PHASES) == pytest.approx(one.flops_of(*PHASES), rel=0.01), "of one sample"


def test_several_gpus_exchange_gradients_or_share_everything(read):
    cfg = read("synthetic")
    cfg.optim_wrapper = {"dtype": "bfloat16", "optimizer": {"type": "AdamW", "lr": 1e-4}}
    alone, _ = plans_of(cfg)
    plans, _ = plans_of(cfg, gpus=4)
    ddp, sharded = (next(p for p in plans if p.strategy == name) for name in ("DDP", "FSDP2"))
    trained = sum(p.numel() * 4 for p in build_meta(cfg.model).parameters() if p.requires_grad)
    assert ddp.memory["DDP buckets"] == trained
    assert ddp.allocated == pytest.approx(alone[0].allocated + trained, rel=0.01)
    assert ddp.accumulation == 2
    assert sharded.memory["weights"] == pytest.approx(ddp.memory["weights"] / 4, rel=0.1)
    assert sharded.memory["optimiser"] == ddp.memory["optimiser"] / 4
    assert (ddp.memory["optimiser"], ddp.memory["average"]) == (2 * trained, trained)
    assert sharded.memory["average"] == trained / 4
    assert sharded.memory["gathered units"] > 0


def test_mostly_frozen_models_are_not_sharded_unless_the_config_asks(full_size, read):
    assert {plan.strategy for plan in full_size.values()} == {"DDP"}
    cfg = read("synthetic")
    cfg.model_wrapper_cfg = {"type": "FSDP2Wrapper", "units": ["NoSuchBlock"]}
    with pytest.raises(MapLLaVAError, match="NoSuchBlock"):
        plans_of(cfg, gpus=2)


def test_the_choice_prefers_plain_weights_little_arithmetic_and_many_samples(full_size):
    plain, packed = full_size["as configured", "off"], full_size["4-bit", "off"]
    fits = replace(plain, fits=True)
    slower = replace(full_size["as configured", "on"], fits=True, batch=4)
    barely = replace(fits, batch=2, flops={key: 1.04 * n for key, n in plain.flops.items()})
    assert choose([replace(packed, fits=True), fits]) is fits
    assert choose([fits, slower]) is fits, "a fifth more arithmetic is too much for a larger batch"
    assert choose([fits, barely]) is barely
    assert choose([replace(plain, fits=False), replace(packed, fits=True)]).weights == "4-bit"
    assert choose([replace(plain, fits=False)]) is None


def test_advice_names_config_keys(full_size):
    options = PlanOptions(8, 24.0, (1,), 32)
    told = advice(full_size["4-bit", "on"], options)
    for words in (
        "train_dataloader.batch_size=1",
        "accumulative_counts=4",
        "quantization=dict(bits=4)",
        "gradient_checkpointing=True",
    ):
        assert words in told
    assert "FSDP2" in advice(replace(full_size["as configured", "on"], strategy="FSDP2"), options)
    assert "Nothing fits 24 GiB on 8 GPU(s)" in advice(None, options)


def test_quantisation_is_taken_out_and_counted(read):
    cfg = read("synthetic")
    cfg.model.decoder.quantization = {"bits": 4}
    plain, bits = without_quantization(cfg.model)
    assert bits == {"decoder": 4}
    assert "quantization" not in plain.decoder
    assert "quantization" in cfg.model.decoder
    model = build_meta(plain)
    whole, packed = (
        next(part for part in model_parts(model, which) if part.name == "decoder") for which in ({}, bits)
    )
    linear = 2 * (4 * 128 * 128 + 3 * 128 * 384)
    assert whole.weight_bytes - packed.weight_bytes == pytest.approx(
        linear * (4 - 0.5 - 1 / 64 - 4 / (64 * 256))
    )
    assert dequantized_bytes(model, bits) == 2 * 128 * 384
    assert dequantized_bytes(model, {}) == 0


def test_checkpointing_is_switched_where_it_exists(read):
    cfg = read("synthetic")
    changed, places = with_checkpointing(cfg.model, True)
    assert sorted(places) == ["decoder", "neck.qformer"]
    assert changed.decoder.gradient_checkpointing
    assert not cfg.model.decoder.get("gradient_checkpointing")
    assert with_checkpointing(changed, True)[1] == []


def test_a_batch_has_the_configs_shapes(read):
    shape = SampleShape.from_config(read("trainval"))
    assert (shape.img_hw, shape.num_cameras, shape.num_points, shape.bev_hw) == ((336, 560), 6, 20, (96, 48))
    shape = SampleShape.from_config(read("synthetic"), num_elements=7)
    assert (shape.img_hw, shape.bev_hw) == ((60, 192), (60, 30))
    batch = example_batch(shape, 2)
    assert [tuple(img.shape) for img in batch["inputs"]["img"]] == [(6, 3, 60, 192)] * 2
    lines = batch["data_samples"][1].gt_instances
    assert lines.points.shape == (7, 20, 2)
    assert torch.equal(lines.points[1, 0], lines.points[1, -1]), "every other line is closed"
    roi = shape.map_spec.roi
    assert bool((lines.points[..., 0] >= roi.x_min).all() & (lines.points[..., 0] <= roi.x_max).all())
    assert batch["data_samples"][0].gt_bev.data.shape == (3, 60, 30)


def test_a_config_without_images_is_refused(read):
    cfg = read("synthetic")
    cfg.train_dataloader.dataset.pipeline = cfg.train_dataloader.dataset.pipeline[2:]
    with pytest.raises(MapLLaVAError, match="LoadMultiViewImages"):
        SampleShape.from_config(cfg)
