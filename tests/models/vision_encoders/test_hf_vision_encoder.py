"""BLIP-2's and CLIP's vision towers: parity with transformers, sizes, freezing, loading."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from transformers import Blip2VisionConfig, Blip2VisionModel, CLIPVisionConfig, CLIPVisionModel

from mapllava.errors import MapLLaVAError
from mapllava.models.vision_encoders import Blip2VisionEncoder, CLIPVisionEncoder
from mapllava.testing import check_vision_encoder, write_tiny_blip2, write_tiny_clip, write_tiny_llava
from mapllava.testing.tiny_hf import TINY_VISION

FAMILIES = {
    "blip2": (Blip2VisionEncoder, write_tiny_blip2, Blip2VisionConfig, Blip2VisionModel),
    "clip": (CLIPVisionEncoder, write_tiny_clip, CLIPVisionConfig, CLIPVisionModel),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    encoder, write, config, model = FAMILIES[request.param]
    folder = write(tmp_path_factory.mktemp(request.param))
    tensors = {}
    for shard in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(shard))
    reference = model(config(**TINY_VISION))
    reference.load_state_dict(
        {
            key.removeprefix("vision_model."): t
            for key, t in tensors.items()
            if key.startswith("vision_model.")
        }
    )
    return encoder, str(folder), reference.eval()


@pytest.mark.parametrize("size", [(56, 56), (28, 84)])
def test_parity_with_transformers(family, size):
    encoder_class, folder, reference = family
    encoder = encoder_class(pretrained=folder)
    img = torch.randn(2, 3, 3, *size)
    with torch.no_grad():
        theirs = reference(pixel_values=img.flatten(0, 1), interpolate_pos_encoding=True).last_hidden_state
    ours = encoder(img)
    assert ours.shape == (2, 3, size[0] * size[1] // 14**2, 32)
    assert (ours.flatten(0, 1) - theirs[:, 1:]).abs().max() <= 1e-5


@pytest.mark.parametrize("frozen", [True, False])
def test_contract(family, frozen):
    check_vision_encoder(family[0](architecture=TINY_VISION, frozen=frozen))


def test_patches_come_row_by_row(family):
    encoder = family[0](pretrained=family[1])
    img = torch.zeros(1, 1, 3, 28, 84)
    changed = img.clone()
    changed[..., 14:, 70:] = 5.0  # the last patch of the second row of six
    moved = (encoder(changed) - encoder(img)).abs().amax(-1)[0, 0]
    assert encoder.grid_size((28, 84)) == (2, 6)
    assert int(moved.argmax()) == 11


def test_frozen_encoder_stays_and_keeps_no_activations(family):
    encoder = family[0](pretrained=family[1]).train()
    assert not any(module.training for module in encoder.backbone.modules())
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder(torch.randn(1, 1, 3, 28, 28)).requires_grad


def test_checkpointing_gives_the_same_gradients(family):
    def gradient(checkpointing):
        encoder = family[0](pretrained=family[1], frozen=False, gradient_checkpointing=checkpointing).train()
        encoder(torch.linspace(-1, 1, 3 * 28 * 28).view(1, 1, 3, 28, 28)).square().sum().backward()
        return next(encoder.parameters()).grad

    assert torch.allclose(gradient(True), gradient(False), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("with_bfloat16")
def test_low_precision_gives_full_precision_features(family):
    encoder = family[0](pretrained=family[1], dtype="bfloat16")
    assert next(encoder.parameters()).dtype == torch.bfloat16
    assert encoder(torch.randn(1, 1, 3, 28, 28)).dtype == torch.float32


def test_size_that_does_not_fit_names_one_that_does(family):
    encoder = family[0](architecture=TINY_VISION)
    with pytest.raises(MapLLaVAError, match=r"224 x 400.*14-pixel.*224 x 406"):
        encoder(torch.zeros(1, 1, 3, 224, 400))


def test_random_start_is_not_blip2s_vanishing_one():
    values = {key: value for key, value in TINY_VISION.items() if key != "initializer_range"}
    encoder = Blip2VisionEncoder(architecture=values)
    assert 0.01 < float(encoder.backbone.encoder.layers[0].mlp.fc1.weight.std()) < 0.03


def test_another_familys_folder_is_refused(tmp_path):
    with pytest.raises(MapLLaVAError, match=r"clip_vision_model, expected a blip_2_vision_model"):
        Blip2VisionEncoder(pretrained=str(write_tiny_clip(tmp_path / "clip")))
    with pytest.raises(MapLLaVAError, match="neither a folder here nor a hub id"):
        Blip2VisionEncoder(pretrained=str(tmp_path / "nowhere"))


@pytest.fixture
def counted(monkeypatch):
    """Counts how often position embeddings are really interpolated."""
    calls = []
    real = torch.nn.functional.interpolate
    monkeypatch.setattr(
        "torch.nn.functional.interpolate", lambda *args, **kwargs: calls.append(1) or real(*args, **kwargs)
    )
    return calls


def test_a_frozen_towers_positions_are_interpolated_once_per_size(family, counted):
    encoder = family[0](pretrained=family[1])
    wide, tall = torch.randn(1, 1, 3, 28, 84), torch.randn(1, 1, 3, 84, 28)
    first = encoder(wide)
    assert torch.equal(encoder(wide), first)
    assert len(counted) == 1
    encoder(tall)
    encoder(wide)
    assert len(counted) == 2


def test_kept_positions_follow_the_weights(family, counted):
    encoder = family[0](pretrained=family[1])
    img = torch.randn(1, 1, 3, 28, 84)
    before = encoder(img)
    state = {key: value.clone() for key, value in encoder.state_dict().items()}
    name = next(key for key in state if "position_embedding" in key)
    encoder.load_state_dict({**state, name: state[name] + torch.randn_like(state[name])})
    assert not torch.equal(encoder(img), before)
    encoder.load_state_dict(state)
    assert torch.equal(encoder(img), before)
    assert encoder.to(torch.float64)(img).dtype == torch.float32
    assert torch.allclose(encoder(img), before, atol=1e-4)


def test_copies_keep_positions_of_their_own(family):
    encoder = family[0](pretrained=family[1])
    img = torch.randn(1, 1, 3, 28, 84)
    before = encoder(img)
    twin = copy.deepcopy(encoder)
    twin.positions.weight.add_(1.0)
    assert not torch.equal(twin(img), before)
    assert torch.equal(encoder(img), before)


def test_positions_kept_in_inference_mode_serve_training(family):
    encoder = family[0](pretrained=family[1])
    img = torch.randn(1, 1, 3, 28, 84)
    with torch.inference_mode():
        encoder(img)
    encoder.backbone.embeddings.patch_embedding.requires_grad_(True)
    encoder(img).sum().backward()


def test_trained_positions_are_interpolated_every_time(family, counted):
    encoder = family[0](pretrained=family[1], frozen=False)
    img = torch.randn(1, 1, 3, 28, 84)
    encoder(img)
    encoder(img).square().sum().backward()
    assert len(counted) == 2
    assert encoder.positions.weight.grad.abs().sum() > 0


def test_an_earlier_layer_is_read_and_later_ones_are_not_built(family):
    encoder_class, folder, reference = family
    encoder = encoder_class(pretrained=folder, feature_layer=-2)
    assert len(encoder.backbone.encoder.layers) == 1
    img = torch.randn(1, 2, 3, 56, 56)
    with torch.no_grad():
        theirs = reference(pixel_values=img[0], output_hidden_states=True).hidden_states[-2]
        if encoder_class is Blip2VisionEncoder:
            theirs = reference.post_layernorm(theirs)
    assert (encoder(img)[0] - theirs[:, 1:]).abs().max() <= 1e-5
    with pytest.raises(ValueError, match=r"feature_layer=-3 is none of -1 \(the last\) to -2"):
        encoder_class(pretrained=folder, feature_layer=-3)


def state_of(path) -> dict:
    return CLIPVisionEncoder(pretrained=str(path)).backbone.state_dict()


@pytest.mark.parametrize("layout", ["transformers", "original", "original without the tower"])
def test_the_tower_of_a_llava_folder(layout, tmp_path):
    folder = write_tiny_llava(tmp_path, layout.split()[0], with_tower="without" not in layout)
    encoder = CLIPVisionEncoder(pretrained=str(folder))
    source = folder / "clip" if "without" in layout else folder
    assert encoder.base_weights["id"] == str(source)
    own = {}
    for file in [*source.glob("*.safetensors"), *source.glob("*.bin")]:
        own.update(load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True))
    end = "encoder.layers.1.self_attn.q_proj.bias"
    expected = [value for key, value in own.items() if key.endswith(end) and "text" not in key]
    assert torch.equal(encoder.backbone.state_dict()[end], *expected)


def test_a_vision_tower_saved_alone(tmp_path):
    model = CLIPVisionModel(CLIPVisionConfig(**TINY_VISION))
    model.save_pretrained(tmp_path)
    weight = state_of(tmp_path)["encoder.layers.0.mlp.fc1.weight"]
    assert torch.equal(weight, model.state_dict()["encoder.layers.0.mlp.fc1.weight"])


def test_position_ids_of_older_files_are_left_out(tmp_path):
    folder = write_tiny_clip(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert torch.equal(state_of(folder)["pre_layrnorm.bias"], tensors["vision_model.pre_layrnorm.bias"])
