"""The real SmolLM2 in the map decoder; skipped where its folder is not, see the fixture."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mapllava.checkpoint import computed_dtype, count_parameters
from mapllava.config.resolve import resolve
from mapllava.registry import MODELS

CONFIG = Path(__file__).parents[3] / "configs" / "stage2" / "synthetic_smollm2.py"
TOKENS, CHANNELS = 3, 128


@pytest.fixture(scope="module")
def decoder(smollm2):
    cfg = resolve(Config.fromfile(CONFIG)).model.decoder
    return MODELS.build(dict(cfg, pretrained=str(smollm2), in_channels=CHANNELS)).train()


def test_it_says_what_it_was_trained_to_say(smollm2):
    """The weights came through the conversion whole: a transposed one would babble."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    said = model.generate(ids, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(said[0, ids.shape[1] :])


def test_the_architecture_that_a_plan_builds_is_that_of_the_folder(decoder):
    cfg = resolve(Config.fromfile(CONFIG)).model.decoder
    with torch.device("meta"):
        planned = MODELS.build(dict(cfg, pretrained=None, in_channels=CHANNELS))
    assert count_parameters(planned.backbone) == count_parameters(decoder.backbone)
    assert count_parameters(decoder.backbone)[0] == 134_515_008


def test_it_is_frozen_and_what_is_around_it_learns(decoder):
    queries = MODELS.build(dict(type="InstanceMapQueries", num_instances=2, embed_dims=decoder.embed_dims))
    scene = torch.randn(1, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(0))
    decoded = decoder(scene.requires_grad_(), queries)
    assert decoded.shape == (1, queries.num_tokens, 576)
    assert decoded.isfinite().all()
    decoded.square().mean().backward()
    assert scene.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in decoder.backbone.parameters())
    assert {parameter.dtype for parameter in decoder.backbone.parameters()} == {
        computed_dtype(torch.bfloat16)
    }
    trained = {name for name, parameter in decoder.named_parameters() if parameter.grad is not None}
    assert {"project.1.weight", "project.1.bias"} <= trained
