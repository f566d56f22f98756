"""The language model that writes: its head, its loss, what it writes, each against transformers' own."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mapllava.checkpoint.base_weights import base_weight_modules, reloadable_keys
from mapllava.errors import MapLLaVAError
from mapllava.models.parsers import LanguageModel
from mapllava.models.parsers.allowed_tokens import AllowedTokens
from mapllava.testing.tiny_hf import write_tiny_decoder

PROMPTS = ["Where are the dividers, the crossings? = ", "A lane = "]
TARGETS = ["draw: divider", "none at all, nothing"]


def build(folder, **options):
    return LanguageModel(prompt="A = ", pretrained=str(folder), **options).eval()


@pytest.fixture(scope="module")
def model(llama):
    return build(llama)


@pytest.fixture(scope="module")
def reference(llama):
    return AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()


def test_loss_is_transformers_own_on_the_tokens_of_the_targets_alone(model, reference, llama):
    nats, tokens = 0.0, 0
    for prompt, target in zip(PROMPTS, TARGETS, strict=True):
        asked, wanted = model.prompt.ids(prompt), [*model.prompt.tokenizer(target), 2]
        labels = torch.tensor([[-100] * len(asked) + wanted])
        mean = reference(input_ids=torch.tensor([asked + wanted]), labels=labels).loss
        torch.testing.assert_close(model.target_loss([prompt], [target]), mean, atol=1e-5, rtol=1e-5)
        nats, tokens = nats + mean * len(wanted), tokens + len(wanted)
    # beside a longer one every token counts as much as alone
    for each in (model, build(llama, rows_at_once=1)):
        torch.testing.assert_close(each.target_loss(PROMPTS, TARGETS), nats / tokens, atol=1e-5, rtol=1e-5)


def test_the_mean_over_processes_is_that_of_all_tokens(model, monkeypatch):
    """Two processes, one text each: averaged, as their gradients are, it is the loss of both texts."""
    counts = [len(model.prompt.tokenizer(target)) + 1 for target in TARGETS]
    monkeypatch.setattr(
        "mapllava.models.parsers.language_model.all_reduce", lambda tokens, _: tokens.fill_(sum(counts) / 2)
    )
    parts = [model.target_loss([prompt], [target]) for prompt, target in zip(PROMPTS, TARGETS, strict=True)]
    monkeypatch.undo()
    torch.testing.assert_close(sum(parts) / 2, model.target_loss(PROMPTS, TARGETS), atol=1e-5, rtol=1e-5)


def test_writes_what_transformers_generate_does_alone_and_in_a_batch(model, reference):
    some = [index for index in range(3, 320) if index % 3]
    written = model.write(PROMPTS, lambda ids: [*some, 2] if len(ids) > 4 else some, limit=12)
    for prompt, (ids, chances) in zip(PROMPTS, written, strict=True):
        asked = torch.tensor([model.prompt.ids(prompt)])
        begin = asked.shape[1]
        expected = reference.generate(
            asked,
            attention_mask=torch.ones_like(asked),
            do_sample=False,
            max_new_tokens=12,
            pad_token_id=2,
            prefix_allowed_tokens_fn=lambda _, row, n=begin: [*some, 2] if len(row) - n > 4 else some,
        )[0, begin:].tolist()
        assert ids == expected
        whole = reference(torch.cat([asked, torch.tensor([ids])], 1)).logits[0, begin - 1 : -1].softmax(-1)
        torch.testing.assert_close(chances, whole[range(len(ids)), ids], atol=1e-5, rtol=1e-4)


def test_more_tokens_than_positions_are_refused(model):
    some = list(range(3, 320))
    said = r"has 1024 positions, and a prompt of 2002 tokens with \d+ after .* in fewer words \('A lane"
    with pytest.raises(MapLLaVAError, match=said):
        model.write(["A lane? " * 500], lambda _: some, limit=12)
    with pytest.raises(MapLLaVAError, match=said):
        model.target_loss(["A lane? " * 500], TARGETS[:1])
    room = 1024 - len(model.prompt.ids(PROMPTS[0]))
    with pytest.raises(MapLLaVAError, match="has 1024 positions"):
        model.write(PROMPTS[:1], lambda _: some, limit=room + 1)


def test_messages_name_the_language_model_of_a_parser(llama):
    with pytest.raises(MapLLaVAError, match=r"^model\.language_model\.prompt is ''"):
        LanguageModel(prompt="", pretrained=str(llama))
    with pytest.raises(MapLLaVAError, match=r"^LanguageModel: architecture holds a t5, an encoder-decoder"):
        LanguageModel(prompt="A", architecture={"model_type": "t5"})


def test_a_tied_head_is_the_embeddings_and_a_file_may_say_so_twice(llama, tmp_path):
    folder = write_tiny_decoder(tmp_path, "qwen2")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(llama / name, folder)
    weights = load_file(folder / "model.safetensors")
    built = build(folder).backbone
    assert built.lm_head.weight is built.model.embed_tokens.weight
    assert not built.lm_head.weight.is_meta
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    build(folder)
    weights["lm_head.weight"][0, 0] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MapLLaVAError, match=r"ties them to.*lm_head\.weight"):
        build(folder)


def test_files_without_the_head_of_an_untied_model_are_refused(llama, tmp_path):
    folder = shutil.copytree(llama, tmp_path / "bare")
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MapLLaVAError, match=r"vocabulary head: .*\n.*1 missing in the files: lm_head"):
        build(folder)


def test_an_adapter_named_ask_is_all_that_trains_and_all_that_a_file_holds(llama):
    model = build(llama, lora={"rank": 2, "alpha": 4, "targets": "all-linear"}).train()
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(".ask." in name and "lm_head" not in name for name in trained)
    parent = torch.nn.Module()
    parent.language_model = model
    left_out = reloadable_keys(parent, base_weight_modules(parent, None))
    assert set(parent.state_dict()) - left_out == {f"language_model.{name}" for name in trained}
    model.target_loss(PROMPTS, TARGETS).backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_a_text_that_nothing_ends_is_refused(llama, tmp_path):
    folder = shutil.copytree(llama, tmp_path / "endless")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": None}))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": None}))
    with pytest.raises(MapLLaVAError, match="end of text"):
        build(folder)


class Words:
    """The constraint of a few texts."""

    def __init__(self, *texts):
        self.texts = texts

    def state(self, text):
        return text

    def allowed_next(self, text):
        return frozenset(each[len(text)] for each in self.texts if each.startswith(text) and each != text)

    def may_end(self, text):
        return text in self.texts


@pytest.mark.parametrize("written", ["", "lane", "lane divi", "lane divider"])
def test_tokens_that_may_follow_are_those_whose_text_goes_on_to_one_allowed(model, written):
    tokenizer = model.prompt.tokenizer
    words = Words("lane divider", "lane dividers", "none")
    allowed = AllowedTokens(tokenizer, words, end=2)
    found = allowed(tokenizer(written))
    texts = {index: tokenizer.decode([*tokenizer(":"), index])[1:] for index in range(320)}
    going_on = [
        index
        for index, text in texts.items()
        if text and any(each.startswith(written + text) for each in words.texts)
    ]
    assert sorted(set(found) - {2}) == going_on
    assert (2 in found) == (written in words.texts)
    assert any(len(texts[index]) > 1 for index in going_on) or written != "lane"
