"""Every shipped config is a test case: it builds on the meta device with the sizes it promises."""

from pathlib import Path

import pytest
import torch
from extras import need_extras
from mmengine.config import Config

from mapllava.analysis.cost import build_meta, model_parts
from mapllava.analysis.cost.model_parts import without_quantization
from mapllava.checkpoint import count_parameters
from mapllava.checkpoint.base_weights import base_weight_modules, reloadable_keys
from mapllava.config.hooks import hooks_of
from mapllava.config.resolve import accepts, leaf_datasets, resolve
from mapllava.config.without_pretrained import without_pretrained
from mapllava.engine import MapOptimWrapperConstructor
from mapllava.registry import DATASETS, METRICS, MODELS, TRANSFORMS

CONFIGS = Path(__file__).parents[2] / "configs"
LEAVES = sorted(path for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts)
FULL_SIZE = [path for path in LEAVES if "synthetic" not in path.name and path.parent.name != "language"]

# (total, trainable) parameters in millions, rounded to what a reader would quote
EXPECTED_MILLIONS = {
    "language/ask_smollm2.py": (139.4, 4.9),
    "language/ask_synthetic.py": (0.7, 0.7),
    "language/ask_vicuna.py": (6751.0, 12.6),
    "stage2/mini.py": (7741.1, 147.8),
    "stage2/trainval.py": (7741.1, 147.8),
    "stage2/trainval_4bit.py": (7741.1, 147.8),
    "stage2/trainval_lora.py": (7781.1, 187.8),
    "stage2/trainval_no_llm.py": (1140.8, 154.8),
    "stage2/trainval_llava.py": (6999.9, 101.4),
    "stage2/trainval_r50.py": (54.6, 54.6),
    "stage2/trainval_dinov2.py": (419.9, 115.6),
    "stage3/trainval.py": (7741.1, 6755.1),
    "stage2/synthetic.py": (3.3, 3.3),
    "stage2/synthetic_no_llm.py": (3.3, 3.3),
    "stage2/synthetic_overfit.py": (3.3, 3.3),
    "stage2/synthetic_points.py": (3.3, 3.3),
    "stage2/synthetic_resnet.py": (3.3, 3.3),
    "stage2/synthetic_dinov2.py": (3.3, 3.3),
    "stage2/synthetic_camera_dropout.py": (3.3, 3.3),
    "stage2/synthetic_qformer.py": (2.7, 2.7),
    "stage2/synthetic_smollm2.py": (137.8, 3.3),
}


def load(path: Path) -> Config:
    cfg = Config.fromfile(path)
    need_extras(cfg.model.to_dict())
    resolve(cfg)
    return cfg


@pytest.mark.parametrize("path", LEAVES, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_builds_on_the_meta_device_with_the_promised_sizes(path):
    cfg = load(path)
    with torch.device("meta"):
        model = MODELS.build(without_pretrained(cfg.model))
    total, trainable = (round(count / 1e6, 1) for count in count_parameters(model))
    assert (total, trainable) == EXPECTED_MILLIONS[path.relative_to(CONFIGS).as_posix()]


def test_the_full_size_model_trains_all_but_its_pretrained_towers_and_each_parameter_once():
    cfg = load(CONFIGS / "stage2" / "trainval.py")
    with torch.device("meta"):
        model = MODELS.build(without_pretrained(cfg.model))
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    frozen = ("vision_encoder.backbone.", "decoder.backbone.")
    assert set(trained) == {name for name, _ in model.named_parameters() if not name.startswith(frozen)}
    options = dict(cfg.optim_wrapper)
    options.pop("constructor")
    optimizer = MapOptimWrapperConstructor(options, options.pop("paramwise_cfg"))(model).optimizer
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert set(groups) == {"qformer", "qformer/no_decay", "new", "new/no_decay"}
    assert {name: group["lr"] for name, group in groups.items()} == pytest.approx(
        {"qformer": 1e-5, "qformer/no_decay": 1e-5, "new": 1e-4, "new/no_decay": 1e-4}
    )
    optimised = [id(p) for group in groups.values() for p in group["params"]]
    assert sorted(optimised) == sorted(map(id, trained.values()))


def test_a_pretrained_language_model_reads_tokens_at_the_scale_of_its_own():
    read = {}
    for path in LEAVES:
        decoder = Config.fromfile(path).model.get("decoder") or {}
        if decoder.get("type") == "LLMMapDecoder":
            read[path.stem] = (decoder.get("pretrained") is not None, decoder.get("scale") == "embeddings")
    assert {name for name, (pretrained, _) in read.items() if pretrained} >= {"trainval", "synthetic_smollm2"}
    assert all(pretrained == scaled for pretrained, scaled in read.values()), read


@pytest.mark.parametrize("path", LEAVES, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_every_type_is_registered(path):
    cfg = load(path)
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        assert DATASETS.get(cfg[name].dataset.type) is not None
        for _, dataset in leaf_datasets(cfg, name):
            assert DATASETS.get(dataset.type) is not None
            for step in dataset.get("pipeline", []):
                assert TRANSFORMS.get(step.type) is not None, step.type
    assert METRICS.get(cfg.val_evaluator.type) is not None


@pytest.mark.parametrize("path", LEAVES, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_one_map_spec_reaches_every_component(path):
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({"map_spec.roi": [-10.0, -20.0, 10.0, 20.0]})
    resolve(cfg)
    loaders = ("train_dataloader", "val_dataloader")
    datasets = [dataset for name in loaders for _, dataset in leaf_datasets(cfg, name)]
    asking = [part for part in (cfg.val_evaluator,) if accepts(part.type, "map_spec")]
    for part in (cfg.model, *datasets, *asking):
        assert list(part.map_spec.roi) == [-10.0, -20.0, 10.0, 20.0]


def test_the_file_of_a_parser_on_seven_billion_weights_is_small():
    model = on_meta("language/ask_vicuna.py")
    for name, module in model.named_modules():
        if name == "language_model":
            module.base_weights = {"id": "vicuna"}  # as where they are loaded
    left_out = reloadable_keys(model, base_weight_modules(model, None))
    state = model.state_dict()
    kept = {key: value for key, value in state.items() if key not in left_out}
    assert all(".ask." in key for key in kept)
    assert 40e6 < sum(value.nbytes for value in kept.values()) < 60e6


def on_meta(name: str, text: str = "") -> torch.nn.Module:
    """Model of a config, or of a leaf that inherits from it with some more lines."""
    path = CONFIGS / name
    cfg = load(path) if not text else Config.fromstring(f'_base_ = ["{path}"]\n{text}', ".py")
    resolve(cfg)
    with torch.device("meta"):
        return MODELS.build(without_pretrained(cfg.model))


NECKS = {"QFormerNeck": "qformer_neck", "BEVQFormerNeck": "bev_qformer_neck"}
QUERIES = {1050: "point_queries", 50: "instance_queries"}


@pytest.mark.parametrize(("neck", "variable"), NECKS.items())
def test_either_neck_with_768_scene_tokens_is_a_line_or_two_away(neck, variable):
    scene = "" if neck == "BEVQFormerNeck" else ", map_queries=dict(scene=None)"
    model = on_meta(
        "stage2/trainval.py", f"model = dict(neck=dict(_delete_=True, **_base_.{variable}){scene})"
    )
    assert type(model.neck).__name__ == neck
    assert model.neck.query_tokens.shape[:-1].numel() == 768


@pytest.mark.parametrize(("tokens", "variable"), QUERIES.items())
def test_either_layout_of_queries_is_one_line_away(tokens, variable):
    text = f"model = dict(map_queries=dict(_delete_=True, **_base_.{variable}))"
    assert on_meta("stage2/mini.py", text).map_queries.num_tokens == tokens


RATES = {
    "stage2/trainval.py": {"qformer": 1e-5, "new": 1e-4},
    "stage2/trainval_4bit.py": {"qformer": 1e-5, "new": 1e-4},
    "stage2/trainval_lora.py": {"qformer": 1e-5, "new": 1e-4, "lora": 1e-4},
    "stage2/trainval_llava.py": {"qformer": 1e-4, "new": 1e-4},
    "stage2/trainval_r50.py": {"backbone": 6e-5, "new": 6e-4},
    "stage2/trainval_dinov2.py": {"qformer": 1e-4, "lora": 1e-4, "new": 1e-4},
    "stage3/trainval.py": {"qformer": 1e-5, "new": 1e-4, "llm": 1e-6},
}


@pytest.mark.parametrize(("name", "rates"), RATES.items())
def test_groups_of_the_optimiser(name, rates):
    cfg = load(CONFIGS / name)
    wrapper = MapOptimWrapperConstructor(dict(cfg.optim_wrapper), cfg.optim_wrapper.paramwise_cfg)
    wrapper.optim_wrapper_cfg.pop("paramwise_cfg")
    wrapper.optim_wrapper_cfg.pop("constructor")
    groups = wrapper._param_groups(on_meta(name), cfg.optim_wrapper.optimizer.lr)
    found = {group["name"].split("/")[0]: group["lr"] for group in groups}
    assert found == pytest.approx(rates)


# GB of the weights alone, as they are held
HELD = {
    "stage2/trainval.py": (1.97, 13.23),
    "stage2/trainval_4bit.py": (0.51, 3.62),
    "stage2/trainval_lora.py": (1.97, 13.39),
    "stage3/trainval.py": (1.97, 26.44),
}


@pytest.mark.parametrize(("name", "expected"), HELD.items())
def test_how_much_the_weights_need(name, expected):
    """Two bytes a frozen weight, about half of one in 4 bits, four where it trains."""
    plain, bits = without_quantization(load(CONFIGS / name).model)
    held = {part.name: part.weight_bytes / 1e9 for part in model_parts(build_meta(plain), bits)}
    assert (held["vision_encoder"], held["decoder"]) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("path", FULL_SIZE, ids=lambda p: p.relative_to(CONFIGS).as_posix())
def test_an_update_sees_32_samples_on_the_cards_it_is_meant_for(path):
    cfg = load(path)
    cards = 1 if path.stem == "trainval_4bit" else 8
    accumulated = cfg.optim_wrapper.get("accumulative_counts", 1)
    assert cards * cfg.train_dataloader.batch_size * accumulated == cfg.auto_scale_lr.base_batch_size


def test_stage_3_goes_on_from_stage_2_for_three_epochs():
    cfg = load(CONFIGS / "stage3/trainval.py")
    hooks = {hook["type"]: hook for hook in hooks_of(cfg)}
    assert hooks["SafeCheckpointHook"]["allow_missing"] == ["decoder.backbone", "decoder.scale"]
    assert "WarmupEMAHook" not in hooks
    assert cfg.train_cfg.max_epochs == 3
    assert cfg.run_name == "map_detection_stage3"
    assert cfg.load_from.endswith(".pth")
