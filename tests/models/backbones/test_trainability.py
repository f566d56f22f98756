"""Frozen, LoRA, 4- and 8-bit, full: what trains, what flows through, what is held in memory."""

import pytest
import torch
from torch import nn

from mapllava.analysis.cost.model_parts import QUANTIZED_BYTES
from mapllava.checkpoint import count_parameters, packed_layers
from mapllava.errors import MapLLaVAError
from mapllava.models.backbones.trainability import check_trainability
from mapllava.models.decoders import LLMMapDecoder
from mapllava.models.map_queries import InstanceMapQueries
from mapllava.models.necks import QFormerCore
from mapllava.models.vision_encoders import Blip2VisionEncoder, CLIPVisionEncoder
from mapllava.testing import write_tiny_blip2, write_tiny_clip, write_tiny_llama
from mapllava.testing.tiny_hf import TINY_LLAMA, TINY_QFORMER, TINY_VISION
from tests.models.decoders.words import WORDS

pytest.importorskip("peft")
bnb_functional = pytest.importorskip("bitsandbytes").functional
C, D, S = 10, 32, 6
LORA = {"rank": 4, "alpha": 8, "targets": "all-linear"}
NF4, INT8 = {"bits": 4}, {"bits": 8}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    return {
        "llm": str(write_tiny_llama(root / "llama")),
        "blip2": str(write_tiny_blip2(root / "blip2")),
        "clip": str(write_tiny_clip(root / "clip")),
    }


def decoder(folder, **settings) -> LLMMapDecoder:
    made = LLMMapDecoder(C, **WORDS, pretrained=folder, **settings)
    torch.manual_seed(0)
    for layer in made.project:
        layer.reset_parameters()
    return made.train()


def run(made: LLMMapDecoder, seed=1):
    """Output and gradients with respect to scene tokens and queries."""
    torch.manual_seed(seed)
    scene = torch.randn(2, S, C, requires_grad=True)
    queries = InstanceMapQueries(D, 5)
    out = made(scene, queries)
    made.zero_grad()
    (out * torch.randn(out.shape)).sum().backward()
    return out.detach(), scene.grad, queries.instances.grad


def start(made: nn.Module) -> None:
    """What MMEngine does to a part when training starts; it takes means, which packed weights have not."""
    if not packed_layers(made):
        made.init_weights()


def off(ours, theirs) -> float:
    return max(float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True))


def unpacked_weights(made: nn.Module, bits: int) -> dict[str, torch.Tensor]:
    found = {}
    for name, layer in made.named_modules():
        if layer in packed_layers(made):
            weight = layer.weight
            if bits == 4:
                found[name] = bnb_functional.dequantize_4bit(weight.data, weight.quant_state).float()
            else:
                scale = layer.state.SCB if weight.SCB is None else weight.SCB
                found[name] = weight.data.float() * scale[:, None] / 127
    return found


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("quantization", "exact", "loose"), [(NF4, 1e-5, 0.6), (INT8, 0.05, 0.05)])
def test_gradients_flow_through_packed_weights(folders, quantization, exact, loose, checkpointing):
    """As through a float model that has the packed weights' values; near those of the original."""
    packed = decoder(folders["llm"], quantization=quantization, gradient_checkpointing=checkpointing)
    ours = run(packed)
    plain = decoder(folders["llm"])
    assert off(ours, run(plain)) < loose
    for name, weight in unpacked_weights(packed, quantization["bits"]).items():
        plain.get_submodule(name).weight.data.copy_(weight)
    assert off(ours, run(plain)) < exact


@pytest.mark.parametrize("quantization", [NF4, INT8])
def test_validation_between_steps_changes_nothing(folders, quantization):
    made = decoder(folders["llm"], quantization=quantization)
    before = run(made)
    made.eval()
    with torch.no_grad():
        made(torch.randn(1, S, C), InstanceMapQueries(D, 5))
    made.train()
    assert all(torch.equal(a, b) for a, b in zip(before, run(made), strict=True))


@pytest.mark.parametrize("quantization", [None, NF4, INT8])
def test_adapters_alone_train_and_begin_as_nothing(folders, quantization):
    made = decoder(folders["llm"], quantization=quantization, lora=LORA)
    base = decoder(folders["llm"], quantization=quantization)
    start(made)
    assert torch.equal(run(made)[0], run(base)[0])
    trained = {name for name, p in made.backbone.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 7 * 2  # two matrices for seven linear layers of two blocks
    assert all("lora_" in name for name in trained)
    grown = {name: p.grad is not None for name, p in made.named_parameters() if p.requires_grad}
    assert all(grown.values())
    assert all(p.dtype == torch.float32 for p in made.parameters() if p.requires_grad)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("quantization", [None, NF4, INT8])
def test_adapters_learn_in_every_precision(folders, quantization, dtype):
    made = decoder(folders["llm"], quantization=quantization, lora=LORA, dtype=dtype)
    optimizer = torch.optim.SGD([p for p in made.backbone.parameters() if p.requires_grad], lr=1.0)
    first = run(made)[0]
    optimizer.step()
    assert not torch.equal(first, run(made)[0])
    assert all(p.dtype == torch.float32 for p in made.backbone.parameters() if p.requires_grad)


def test_merged_adapters_give_what_unmerged_ones_gave(folders):
    made = decoder(folders["llm"], lora=LORA)
    for name, parameter in made.backbone.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    base, unmerged = run(decoder(folders["llm"]))[0], run(made)[0]
    for module in made.backbone.modules():
        if hasattr(module, "lora_A"):
            module.merge()
    merged = run(made)[0]
    assert (unmerged - base).abs().max() > 0.01
    assert torch.allclose(unmerged, merged, atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_adapters_drop_in_training_on_a_base_that_does_not(folders, checkpointing):
    made = decoder(folders["llm"], lora={**LORA, "dropout": 0.5}, gradient_checkpointing=checkpointing)
    for name, parameter in made.backbone.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    dropping = [m for m in made.backbone.modules() if isinstance(m, nn.Dropout) and m.training]
    assert len(dropping) == 14
    queries, scene = InstanceMapQueries(D, 5), torch.randn(1, S, C)
    assert not torch.equal(made(scene, queries), made(scene, queries))
    made.eval()
    assert not any(module.training for module in made.backbone.modules())
    assert torch.equal(made(scene, queries), made(scene, queries))


def test_chosen_layers_only(folders):
    made = decoder(folders["llm"], lora={**LORA, "targets": ["q_proj", "self_attn.v_proj"]})
    names = {n.split(".lora_")[0] for n, p in made.backbone.named_parameters() if p.requires_grad}
    assert names == {f"layers.{i}.self_attn.{leaf}" for i in (0, 1) for leaf in ("q_proj", "v_proj")}


def vision(folders, family, **settings):
    return family(pretrained=folders["clip" if family is CLIPVisionEncoder else "blip2"], **settings).train()


@pytest.mark.parametrize("quantization", [None, NF4, INT8])
@pytest.mark.parametrize("family", [Blip2VisionEncoder, CLIPVisionEncoder])
def test_vision_towers_take_the_same_settings(folders, family, quantization):
    img = torch.randn(1, 2, 3, 28, 28)
    plain = vision(folders, family)(img)
    frozen = vision(folders, family, quantization=quantization)
    assert (frozen(img) - plain).norm() <= (0.2 if quantization else 0.0) * plain.norm()
    assert not frozen(img).requires_grad
    made = vision(folders, family, quantization=quantization, lora=LORA, gradient_checkpointing=True)
    start(made)
    assert torch.equal(made(img), frozen(img))
    made(img).square().sum().backward()
    trained = [p for p in made.parameters() if p.requires_grad]
    assert trained
    assert all(p.grad is not None for p in trained)


@pytest.mark.parametrize("settings", [{}, {"quantization": NF4}, {"lora": LORA}, {"dtype": "bfloat16"}])
def test_a_frozen_qformer_passes_gradients_on(folders, settings):
    core = QFormerCore(D, pretrained=folders["blip2"], frozen=True, **settings).train()
    queries, states = torch.randn(2, 5, 24, requires_grad=True), torch.randn(2, 9, D, requires_grad=True)
    before = core(queries, states)
    start(core)
    out = core(queries, states)
    assert torch.equal(out, before)
    assert out.dtype == torch.float32
    assert torch.equal(out, core(queries, states))  # no dropout
    out.square().sum().backward()
    assert queries.grad.any()
    assert states.grad.any()
    trained = {name: p for name, p in core.named_parameters() if p.requires_grad}
    assert bool(trained) == ("lora" in settings)
    assert all("lora_" in name and p.grad is not None for name, p in trained.items())


def saved_for_backward(compute) -> list[torch.Tensor]:
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        compute()
    return kept


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_frozen_vision_tower_keeps_no_activation(folders, checkpointing):
    img = torch.randn(1, 2, 3, 28, 28)
    frozen = vision(folders, Blip2VisionEncoder, gradient_checkpointing=checkpointing)
    assert saved_for_backward(lambda: frozen(img)) == []
    trained = vision(folders, Blip2VisionEncoder, frozen=False)
    assert saved_for_backward(lambda: trained(img))


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize("settings", [{}, {"lora": LORA}])
def test_frozen_bf16_weights_are_held_once_under_autocast(folders, settings):
    """Nothing as large as a weight is kept for the backward pass but the weights themselves."""
    made = decoder(folders["llm"], dtype="bfloat16", **settings)
    frozen = {p.untyped_storage().data_ptr() for p in made.backbone.parameters() if not p.requires_grad}
    shapes = {p.shape for p in made.backbone.layers.parameters() if p.ndim == 2 and not p.requires_grad}
    shapes |= {shape[::-1] for shape in shapes}
    assert all(p.dtype == torch.bfloat16 for p in made.backbone.parameters() if not p.requires_grad)

    def compute():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made(torch.randn(1, S, C), InstanceMapQueries(D, 5))

    weights = [t for t in saved_for_backward(compute) if t.shape in shapes]
    assert len(weights) >= 14
    assert all(t.untyped_storage().data_ptr() in frozen for t in weights)


@pytest.mark.parametrize("quantization", [NF4, INT8])
def test_packed_layers_are_counted_by_their_values_and_take_the_bytes_that_plans_count(quantization):
    architecture = {**TINY_LLAMA, "model_type": "llama", "hidden_size": 256, "intermediate_size": 512}
    real = LLMMapDecoder(C, **WORDS, architecture=architecture, quantization=quantization)
    with torch.device("meta"):
        planned = LLMMapDecoder(C, **WORDS, architecture=architecture, quantization=quantization)
        plain = LLMMapDecoder(C, **WORDS, architecture=architecture)
    assert {p.device.type for p in planned.parameters()} == {"meta"}
    assert count_parameters(real) == count_parameters(planned) == count_parameters(plain)
    layers = packed_layers(real)
    assert len(layers) == len(packed_layers(planned)) == 14
    held = sum(value.nbytes for key, value in real.state_dict().items() if "_proj." in key)
    values = sum(layer.in_features * layer.out_features for layer in layers)
    assert held == pytest.approx(values * QUANTIZED_BYTES[quantization["bits"]], rel=0.05)


@pytest.mark.parametrize("quantization", [NF4, INT8])
def test_packed_weights_are_read_one_at_a_time(folders, quantization, monkeypatch):
    """When the loader brings a tensor, every tensor before it is packed already."""
    from mapllava.models.backbones import quantized_linear

    layer = quantized_linear.NF4Linear if quantization is NF4 else quantized_linear.Int8Linear
    take, alive = layer.take_weight, []

    def watch(self, weight):
        alive.append(
            sum(not other.weight.is_meta and other.weight.is_floating_point() for other in alive_layers)
        )
        take(self, weight)
        alive_layers.append(self)

    alive_layers: list = []
    monkeypatch.setattr(layer, "take_weight", watch)
    made = LLMMapDecoder(C, **WORDS, pretrained=folders["llm"], quantization=quantization)
    assert set(alive) == {0}
    assert len(packed_layers(made)) == 14
    assert all(not p.is_floating_point() for p in (packed.weight for packed in packed_layers(made)))


@pytest.mark.parametrize("quantization", [NF4, INT8])
def test_a_state_dict_restores_packed_weights(quantization):
    """Of a random start, whose weights no file restores."""
    architecture = {**TINY_LLAMA, "model_type": "llama"}
    first, second = (
        LLMMapDecoder(C, **WORDS, architecture=architecture, quantization=quantization) for _ in range(2)
    )
    state = {key: value.clone() for key, value in first.state_dict().items()}
    assert off(run(first), run(second)) > 0.1
    second.load_state_dict(state)
    assert off(run(first), run(second)) == 0.0


def test_layers_that_transformers_would_pack_into_load_no_packed_state():
    """Why ``quantization_config`` is not enough; where this fails, are our layers needed still?"""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    first, second = (bitsandbytes.nn.Linear4bit(64, 64, bias=False, quant_type="nf4").to("cpu") for _ in "ab")
    rest = second.load_state_dict(first.state_dict(), strict=False).unexpected_keys
    assert "weight.absmax" in rest  # the scales, without which the weights are others


def test_packed_weights_stay_whole_when_moved():
    architecture = {**TINY_LLAMA, "model_type": "llama"}
    made = LLMMapDecoder(C, **WORDS, architecture=architecture, quantization=INT8)
    before = run(made)  # bitsandbytes moves its scales about in the first pass
    made._apply(lambda tensor: tensor.clone())  # as .to(device) does
    layer = made.backbone.layers[0].mlp.up_proj
    assert layer.weight.CB.data_ptr() == layer.weight.data_ptr()
    assert layer.state.CB is None
    assert layer.weight.SCB.shape == (64,)
    assert off(run(made), before) == 0.0


WRONG = [
    ({"frozen": False, "quantization": NF4}, "4-bit weights cannot be trained: set frozen=True"),
    ({"frozen": False, "lora": LORA}, r"lora adds adapters to a frozen base, but frozen=False"),
    ({"quantization": {"bits": 3}}, r"quantization\.bits is 3: use 4"),
    ({"quantization": {"bit": 4}}, r"quantization has no 'bit': did you mean 'bits'"),
    ({"quantization": {"bits": 4, "compute_dtype": "bf16"}}, "'bf16': use one of bfloat16"),
    ({"quantization": {"bits": 8, "compute_dtype": "bfloat16"}}, "compute_dtype is for bits=4"),
    ({"lora": {**LORA, "r": 4}}, r"lora has no 'r': take it out; there are alpha, dropout, rank, targets"),
    ({"lora": {"rank": 4}}, "lora has no alpha, no targets"),
    ({"lora": {**LORA, "rank": 0}}, r"lora\.rank is 0"),
    ({"lora": {**LORA, "alpha": -1}}, r"lora\.alpha is -1"),
    ({"lora": {**LORA, "dropout": 1.0}}, r"lora\.dropout is 1\.0"),
    ({"lora": {**LORA, "targets": "linear"}}, r"lora\.targets is 'linear': use 'all-linear'"),
    ({"lora": {**LORA, "targets": []}}, r"lora\.targets is \[\]"),
    ({"lora": {**LORA, "targets": 5}}, r"lora\.targets is 5: use 'all-linear'"),
    ({"lora": 16}, r"lora is 16: write lora=dict\(…\), or None"),
    ({"quantization": 4}, r"quantization is 4: write quantization=dict\(…\), or None"),
    (
        {"lora": {**LORA, "targets": ["q_proj", "qkv"]}},
        "no linear layer is called qkv .*there are down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj",
    ),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_contradictions_are_named(settings, message):
    with pytest.raises(MapLLaVAError, match=message):
        LLMMapDecoder(C, **WORDS, architecture={**TINY_LLAMA, "model_type": "llama"}, **settings)


def test_every_component_checks_its_settings():
    settings = {"frozen": False, "quantization": NF4}
    with pytest.raises(MapLLaVAError, match="CLIPVisionEncoder: 4-bit"):
        CLIPVisionEncoder(architecture=TINY_VISION, **settings)
    with pytest.raises(MapLLaVAError, match="QFormerCore: 4-bit"):
        QFormerCore(D, architecture=TINY_QFORMER, **settings)
    check_trainability("X", True, LORA, NF4)


@pytest.mark.parametrize(
    ("package", "settings", "extra"),
    [("peft", {"lora": LORA}, "lora"), ("bitsandbytes", {"quantization": NF4}, "quant")],
)
def test_a_missing_extra_is_named_with_its_command(package, settings, extra, monkeypatch):
    import importlib

    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MapLLaVAError, match=rf"needs {package}.*pip install 'mapllava\[{extra}\]'"):
        LLMMapDecoder(C, **WORDS, architecture={**TINY_LLAMA, "model_type": "llama"}, **settings)
