"""A parser on a map decoder's weights: they are in memory once, and neither changes what the other gives."""

import shutil

import pytest
import torch

from mapllava.models.decoders import LLMMapDecoder
from mapllava.models.map_queries import InstanceMapQueries
from mapllava.models.parsers import LanguageModel
from mapllava.testing.tiny_hf import write_tiny_decoder

pytest.importorskip("peft")
PROMPTS = ["Where are the dividers, the crossings? = ", "A lane = "]
LORA = {"rank": 2, "alpha": 4, "targets": "all-linear"}
SETTINGS = {
    "adapters": (
        {"dtype": "bfloat16", "gradient_checkpointing": True},
        {"lora": {**LORA, "targets": ["q_proj", "up_proj"]}, "scale": "embeddings"},
    ),
    "4 bits": ({"quantization": {"bits": 4}}, {"lora": LORA}),
    "8 bits": ({"quantization": {"bits": 8}}, {}),
    "tied head": ({}, {}),
}


@pytest.fixture(scope="module")
def tied(llama, tmp_path_factory):
    """A language model whose head is its embeddings."""
    folder = write_tiny_decoder(tmp_path_factory.mktemp("qwen"), "qwen2")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(llama / name, folder)
    return folder


def with_adapters(module):
    """Adapters that do something, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0, 0.3, generator=generator)
    return module.eval()


def drawn(decoder):
    """What the decoder makes of one scene."""
    torch.manual_seed(1)
    scene, queries = torch.randn(2, 6, 10), InstanceMapQueries(32, 5)
    with torch.inference_mode():
        return decoder(scene, queries)


def written(model):
    """Ids and probabilities for all prompts."""
    texts = model.write(PROMPTS, lambda _: list(range(3, 320)), 4)
    return [ids for ids, _ in texts], torch.cat([chances for _, chances in texts])


def state_of(module):
    """All that could be switched: names, gradients, modes, adapters, config."""
    parts = list(module.named_modules())
    return (
        [(name, type(part), part.training, getattr(part, "active_adapter", None)) for name, part in parts],
        [(name, id(each), each.requires_grad) for name, each in module.named_parameters()],
        module.backbone.config.to_dict(),
    )


@pytest.mark.parametrize("case", SETTINGS)
def test_weights_are_held_once_and_neither_changes_the_other(llama, tied, case):
    both, of_decoder = SETTINGS[case]
    if "quantization" in both:
        pytest.importorskip("bitsandbytes")
    both = {**both, "pretrained": str(tied if case == "tied head" else llama)}
    decoder = with_adapters(LLMMapDecoder(10, prompt="A map", **both, **of_decoder))
    before, state = drawn(decoder), state_of(decoder)
    alone = with_adapters(LanguageModel("A = ", lora=LORA, **both))
    parser = with_adapters(LanguageModel("A = ", lora=LORA, held=decoder.backbone, **both))

    held = {each.data_ptr() for each in decoder.backbone.parameters()}
    own = [name for name, each in parser.backbone.named_parameters() if each.data_ptr() not in held]
    assert {name for name in own if ".ask." not in name} == (
        set() if case == "tied head" else {"lm_head.weight"}
    )
    assert any(".ask." in name for name in own)
    assert not any(".ask." in name for name in decoder.state_dict())
    assert parser.base_weights == alone.base_weights

    (ids, chances), (expected, sure) = written(parser), written(alone)
    assert ids == expected
    assert torch.equal(chances, sure)
    assert torch.equal(drawn(decoder), before)

    def fail(_):
        raise KeyError("in the middle")

    with pytest.raises(KeyError, match="in the middle"):
        parser.write(PROMPTS, fail, 4)
    assert torch.equal(drawn(decoder), before)
    assert state_of(decoder) == state
    assert torch.equal(written(parser)[1], sure)


def test_weights_of_another_precision_are_read_not_taken(llama):
    decoder = LLMMapDecoder(10, prompt="A map", pretrained=str(llama), dtype="bfloat16").eval()
    parser = LanguageModel("A = ", pretrained=str(llama), held=decoder.backbone).eval()
    assert all(each.dtype == torch.float32 for each in parser.parameters())
    assert torch.equal(written(parser)[1], written(LanguageModel("A = ", pretrained=str(llama)).eval())[1])
