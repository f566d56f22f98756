"""Backbones of transformers as vision encoders: parity with AutoBackbone, loading, freezing, sizes."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoBackbone, AutoConfig

from mapllava.errors import MapLLaVAError
from mapllava.models.vision_encoders import BackboneEncoder
from mapllava.models.vision_encoders.pixel_statistics import check_pixel_statistics
from mapllava.registry import MODELS
from mapllava.testing import check_vision_encoder, write_tiny_backbone
from mapllava.testing.tiny_hf import TINY_BACKBONES

NO_CLASSIFIER = ("dinov3_vit", "dinov3_convnext")
LORA = {"rank": 2, "alpha": 4, "targets": "all-linear"}
PYRAMID = {"type": "FeaturePyramid", "embed_dims": 24}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("backbones")
    return {
        family: str(write_tiny_backbone(root / family, family, classifier=family not in NO_CLASSIFIER))
        for family in TINY_BACKBONES
    }


def random(family, **options):
    return BackboneEncoder(architecture={"model_type": family, **TINY_BACKBONES[family]}, **options)


@pytest.mark.parametrize("family", TINY_BACKBONES)
def test_parity_with_the_library(family, folders):
    levels = [2, 3]
    kind = type(AutoBackbone.from_config(AutoConfig.from_pretrained(folders[family])))
    theirs = kind.from_pretrained(folders[family], out_indices=levels).eval()
    img = torch.randn(1, 2, 3, 64, 96)
    with torch.no_grad():
        maps = theirs(img[0]).feature_maps
    for level, expected in zip(levels, maps, strict=True):
        encoder = BackboneEncoder(pretrained=folders[family], levels=[level])
        found = encoder(img)
        rows, cols = encoder.grid_size((64, 96))
        assert (rows, cols) == tuple(expected.shape[-2:])
        assert encoder.embed_dims == expected.shape[1]
        assert (found[0] - expected.flatten(2).transpose(1, 2)).abs().max() <= 1e-5


@pytest.mark.parametrize("family", TINY_BACKBONES)
def test_whole_encoder_trains_with_levels_joined(family):
    encoder = random(family, levels=[2, 3], pyramid=PYRAMID, frozen=False)
    check_vision_encoder(encoder, (64, 96))  # no parameter without a gradient among it
    assert encoder.embed_dims == 24
    assert encoder.stride == (16 if "vit" in family or "dinov2" in family else 8)


@pytest.mark.parametrize(("scales", "stride"), [([2, 1, 0.5], 8), ([4, 1], 4), ([1], 16)])
def test_simple_pyramid_of_a_plain_transformer(scales, stride):
    encoder = random("dinov2", pyramid={"type": "SimpleFeaturePyramid", "embed_dims": 24, "scales": scales})
    assert encoder.stride == stride
    check_vision_encoder(encoder, (64, 96))
    assert not any(weight.requires_grad for weight in encoder.backbone.parameters())


def test_patches_come_row_by_row(folders):
    encoder = BackboneEncoder(pretrained=folders["resnet"], levels=[1])
    img = torch.zeros(1, 1, 3, 64, 96)
    changed = img.clone()
    changed[..., 40:44, 80:84] = 5.0
    moved = (encoder(changed) - encoder(img)).abs().amax(-1)[0, 0]
    assert divmod(int(moved.argmax()), 24) == (10, 20)


def test_layers_behind_the_last_level_are_not_built(folders):
    encoder = BackboneEncoder(pretrained=folders["dinov2"], levels=[2])
    assert len(encoder.backbone.encoder.layer) == 2
    assert encoder.backbone.load_report.left_out["encoder.layer.*"] > 0


def test_weights_that_do_not_fit_are_listed(folders, tmp_path):
    file = "model.safetensors"
    tensors = load_file(f"{folders['convnextv2']}/{file}")
    gone = next(key for key in tensors if key.endswith("stages.2.layers.0.dwconv.weight"))
    tensors["convnextv2.encoder.stages.9.weight"] = tensors.pop(gone)
    save_file(tensors, tmp_path / file)
    shutil.copy(f"{folders['convnextv2']}/config.json", tmp_path)
    with pytest.raises(MapLLaVAError, match=r"(?s)missing.*stages\.2\.layers\.0\.dwconv.*unknown.*stages\.9"):
        BackboneEncoder(pretrained=str(tmp_path))


def test_what_trains(folders):
    assert not any(p.requires_grad for p in BackboneEncoder(pretrained=folders["swin"]).parameters())
    pytest.importorskip("peft")
    adapted = BackboneEncoder(pretrained=folders["dinov2"], lora=LORA)
    assert {"lora_" in name for name, p in adapted.named_parameters() if p.requires_grad} == {True}


def test_frozen_or_norm_eval_keeps_the_statistics(folders):
    for options in ({"frozen": True}, {"frozen": False, "norm_eval": True}):
        encoder = BackboneEncoder(pretrained=folders["resnet"], **options).train()
        before = {name: value.clone() for name, value in encoder.named_buffers()}
        encoder(torch.randn(1, 2, 3, 64, 64))
        assert all(torch.equal(value, before[name]) for name, value in encoder.named_buffers())


def test_drop_path_drops_in_training_alone(folders):
    encoder = BackboneEncoder(pretrained=folders["dinov2"], frozen=False, drop_path=0.5)
    img = torch.randn(1, 2, 3, 64, 64)
    assert torch.equal(encoder.eval()(img), encoder(img))
    assert not torch.equal(encoder.train()(img), encoder(img))
    with pytest.raises(MapLLaVAError, match="does nothing in a frozen backbone"):
        random("dinov2", drop_path=0.5)
    with pytest.raises(MapLLaVAError, match="a resnet has no stochastic depth"):
        random("resnet", drop_path=0.5, frozen=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": [2, 3]}, "need a pyramid that joins them"),
        ({"levels": [3, 2], "pyramid": PYRAMID}, r"levels=\[3, 2\].*0 \(stem\) to 4 \(stage4\)"),
        ({"levels": [5]}, "none of a resnet"),
        ({"gradient_checkpointing": True}, "ResNetBackbone cannot recompute"),
        ({"architecture": {"model_type": "llama"}}, "no backbone of a 'llama'"),
        ({"architecture": {"model_type": "resnot"}}, "model_type is 'resnot'"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(MapLLaVAError, match=message):
        BackboneEncoder(**{"architecture": {"model_type": "resnet", **TINY_BACKBONES["resnet"]}, **options})


def test_size_that_does_not_fit_names_those_that_do():
    with pytest.raises(MapLLaVAError, match=r"450 x 800.*32 pixels.*448 x 800 or 480 x 800"):
        random("resnet").grid_size((450, 800))


def test_other_pixel_statistics_than_the_weights_are_refused(folders):
    encoder = BackboneEncoder(pretrained=folders["resnet"])
    check_pixel_statistics(encoder, MODELS.build({"type": "MapDataPreprocessor"}))
    grey = MODELS.build({"type": "MapDataPreprocessor", "mean": [110.0] * 3, "std": [60.0] * 3})
    with pytest.raises(MapLLaVAError, match=r"mean=\[123.675, 116.28, 103.53\]"):
        check_pixel_statistics(encoder, grey)


@pytest.mark.parametrize(
    ("name", "level", "stride", "changed"),
    [
        ("resnet18", 3, 16, {}),
        ("convnext_atto", 2, 16, {}),
        ("vit_tiny_patch16_224", 11, 16, {"dynamic_img_size": True}),
        ("swin_tiny_patch4_window7_224", 3, 32, {"strict_img_size": False}),
    ],
)
def test_a_model_of_timm(tmp_path, name, level, stride, changed):
    timm = pytest.importorskip(
        "timm", reason="needs timm: pip install -r requirements/timm.txt", exc_type=Exception
    )
    torch.manual_seed(0)
    whole = timm.create_model(name, pretrained=False, **changed).eval()
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": name, "pretrained_cfg": {}}))
    img = torch.randn(1, 2, 3, 64, 96)
    encoder = BackboneEncoder(pretrained=str(tmp_path), levels=[level]).eval()
    with torch.no_grad():
        found = encoder(img)[0]
        if name.startswith("vit"):  # the layers' output, as timm gives it without features_only
            maps = whole.forward_intermediates(img[0], indices=[level], intermediates_only=True)
        elif name.startswith("swin"):  # of a stage, channels last; its norm is the classifier's
            maps = [whole.layers(whole.patch_embed(img[0])).permute(0, 3, 1, 2)]
        else:
            theirs = timm.create_model(name, pretrained=False, features_only=True, out_indices=(level,))
            theirs.load_state_dict(
                {key.replace("stages.", "stages_").replace("stem.", "stem_"): value
                 for key, value in whole.state_dict().items()}, strict=False
            )  # fmt: skip
            maps = theirs.eval()(img[0])
    assert encoder.stride == stride
    assert found.std() > 1e-3
    assert (found - maps[0].flatten(2).transpose(1, 2)).abs().max() <= 1e-5


def test_what_a_vision_encoder_does_holds_for_timm():
    pytest.importorskip("timm", reason="needs timm: pip install -r requirements/timm.txt", exc_type=Exception)
    check_vision_encoder(
        BackboneEncoder(
            architecture={"architecture": "resnet18"}, levels=[3, 4], pyramid=PYRAMID, frozen=False
        ),
        (64, 96),
    )
