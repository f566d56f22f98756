"""Every layout that a tokenizer comes in gives the same ids, those of its reference; all else is refused."""

import builtins
import json
import os
import socket
from pathlib import Path

import pytest
import sentencepiece
from mmengine.config import Config
from tokenizers import Tokenizer, models, pre_tokenizers

from mapllava.config.components import components
from mapllava.config.options import apply_options
from mapllava.errors import MapLLaVAError
from mapllava.models.decoders import LLMMapDecoder
from mapllava.models.tokenizers import ByteTokenizer, HFTokenizer
from mapllava.registry import MODELS
from mapllava.testing import write_tiny_llama
from tests.models.tokenizers.layouts import PROMPT, save_json

CONFIGS = Path(__file__).parents[3] / "configs"
TEXTS = [PROMPT, " two  spaces ", "a\nb\tc", "地图 – Ⅷ ﬁ", "</s> is no end here"]
STATED = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": {"content": "<unk>", "lstrip": False}}
SETTINGS = [
    None,
    {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True, **STATED},
    {"tokenizer_class": "LlamaTokenizer", "legacy": True, **STATED},
    {"tokenizer_class": "LlamaTokenizerFast", "add_prefix_space": False, **STATED},
    {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>"},
]


def ids(folder, text=PROMPT, **settings):
    return LLMMapDecoder.open_prompt(prompt=text, pretrained=str(folder), **settings).ids(text)


@pytest.fixture
def said(monkeypatch):
    """Warnings of the log."""
    lines = []
    monkeypatch.setattr("mapllava.models.prompt.print_log", lambda text, *_: lines.append(text))
    return lines


def test_bytes_come_back():
    text, tokenizer = "Draw the map: 车道线 – dividers.", ByteTokenizer()
    made = tokenizer(text)
    assert max(made) < tokenizer.vocab_size == 259
    assert bytes(index - 3 for index in made).decode() == text


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("text", TEXTS[:-1])
def test_a_sentencepiece_model_alone_gives_its_own_ids(folder, sp_model, reference, settings, text):
    (folder / "tokenizer.model").write_bytes(sp_model)
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert ids(folder, text) == [1, *reference.encode(text)]


@pytest.mark.parametrize("beside", ["nothing", "settings", "model"])
def test_a_tokenizer_json_gives_the_same_ids(folder, sp_model, reference, converted, beside):
    """Without a special tokens map BOS is what its own template puts first, or the model's config says."""
    trimmed = {"truncation": {"max_length": 3, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}}
    save_json(converted, folder / "tokenizer.json", **trimmed)
    if beside == "settings":
        (folder / "tokenizer_config.json").write_text(json.dumps(STATED))
        (folder / "special_tokens_map.json").write_text(json.dumps(STATED))
    if beside == "model":
        (folder / "tokenizer.model").write_bytes(sp_model)
    assert ids(folder) == [1, *reference.encode(PROMPT)]
    file = {"type": "HFTokenizer", "pretrained": str(folder / "tokenizer.json")}
    assert ids(folder, tokenizer=file) == ids(folder)


def test_a_lost_bos_is_the_models(folder, converted, reference):
    save_json(converted, folder / "tokenizer.json", post_processor=None)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    assert ids(folder) == [1, *reference.encode(PROMPT)]
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "bos_token_id": None}))
    (folder / "generation_config.json").write_text('{"bos_token_id": 1}')
    assert ids(folder) == [1, *reference.encode(PROMPT)]


def test_a_model_without_bos_gets_none(folder, converted, reference):
    """Qwen's config.json names one that its tokenizer says it does not use."""
    save_json(converted, folder / "tokenizer.json", post_processor=None)
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": None}))
    assert ids(folder) == reference.encode(PROMPT)


def test_byte_level_bpe_as_vocabulary_and_merges(tmp_path):
    """GPT-2's two files, against the tokenizers library."""
    folder = write_tiny_llama(tmp_path)
    trained = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for path in folder.glob("tokenizer*"):
        path.unlink()
    trained.model.save(str(folder))
    assert {path.name for path in folder.glob("*")} >= {"vocab.json", "merges.txt"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "GPT2Tokenizer", **STATED, "unk_token": "<unk>"})
    )
    assert ids(folder) == [1, *trained.encode(PROMPT, add_special_tokens=False).ids]
    (folder / "merges.txt").unlink()
    with pytest.raises(MapLLaVAError, match="holds no tokenizer"):
        ids(folder)


def test_a_real_llama_gives_the_ids_of_sentencepiece(folder):
    """Meta's file is not ours to hand on: MAPLLAVA_REAL_TOKENIZER names a folder with it."""
    real = os.environ.get("MAPLLAVA_REAL_TOKENIZER")
    if not real or not (Path(real) / "tokenizer.model").is_file():
        pytest.skip("MAPLLAVA_REAL_TOKENIZER names no folder with LLaMA's or Vicuna's tokenizer.model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 32000}))
    (folder / "tokenizer.model").write_bytes((Path(real) / "tokenizer.model").read_bytes())
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    for text in TEXTS[:-1]:
        assert ids(folder, text) == [1, *theirs.encode(text)]
    assert len(ids(folder)) == 20


@pytest.mark.parametrize("name", ["trainval", "synthetic"])
def test_another_language_model_is_one_option(name, folder, sp_model, monkeypatch):
    """Its folder brings the tokenizer, also to a config of random weights, and nobody is asked."""
    cfg = Config.fromfile(CONFIGS / "stage2" / f"{name}.py")
    apply_options(cfg, {"model.decoder.pretrained": str(folder)})

    def connect(*address):
        raise AssertionError(f"{address} was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    (folder / "tokenizer.model").write_bytes(sp_model)
    decoder = MODELS.build({**cfg.model.decoder, "in_channels": 8})
    assert decoder.prompt.ids(decoder.prompt.text) == ids(folder, cfg.model.decoder.prompt)
    assert decoder.describe_prompt()["tokenizer"]["pretrained"] == str(folder)


def test_the_full_size_configs_name_their_models_alone():
    """README's offline command; without a language model no decoder, and the data are the same."""
    with_llm, without = (Config.fromfile(CONFIGS / "stage2" / f"trainval{end}.py") for end in ("", "_no_llm"))
    named = [
        {part.where for part in components(cfg.to_dict()) if "pretrained" in part.node}
        for cfg in (with_llm, without)
    ]
    assert named[1] == {"model.vision_encoder", "model.neck.qformer"}
    assert named[0] == {*named[1], "model.decoder"}
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        assert with_llm[loader] == without[loader]


# --- refused


def test_a_folder_without_a_tokenizer(folder):
    (folder / "tokenizer_config.json").write_text(json.dumps(SETTINGS[1]))
    with pytest.raises(MapLLaVAError, match=r"llama holds no tokenizer \(tokenizer\.json, tokenizer\.model"):
        ids(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:9e\nsize 499723\n",
            "Git LFS pointer.*git lfs",
        ),
        (b"", "copy it again"),
        (b"IQ== 0\nIg== 1\n", "copy it again"),
    ],
    ids=["pointer", "empty", "tiktoken"],
)
def test_a_file_that_is_no_vocabulary(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(MapLLaVAError, match=rf"{name} is .*{message}"):
        ids(folder)


def test_sentencepiece_that_is_not_installed(folder, sp_model, monkeypatch):
    (folder / "tokenizer.model").write_bytes(sp_model)
    original = builtins.__import__

    def without(name, *args, **options):
        if name == "sentencepiece":
            raise ImportError("No module named 'sentencepiece'")
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MapLLaVAError, match=r"not installed: pip install 'sentencepiece>=.*' 'protobuf>="):
        ids(folder)


def test_two_files_of_different_models(folder, sp_model, converted):
    (folder / "tokenizer.model").write_bytes(sp_model)
    converted = Tokenizer.from_str(converted.to_str())
    converted.normalizer = None
    converted.pre_tokenizer = pre_tokenizers.Whitespace()
    save_json(converted, folder / "tokenizer.json")
    with pytest.raises(MapLLaVAError, match=r"tokenizer\.json and tokenizer\.model of .* give different ids"):
        ids(folder)


def test_a_special_token_that_sentencepiece_would_spell(folder, sp_model):
    (folder / "tokenizer.model").write_bytes(sp_model)
    (folder / "added_tokens.json").write_text('{"<image>": 311}')
    for text in (TEXTS[-1], "USER: <image>"):
        with pytest.raises(MapLLaVAError, match=r"contains the special token '<(/s|image)>'"):
            ids(folder, text)


def test_a_bos_that_the_vocabulary_does_not_have(folder, converted):
    save_json(converted, folder / "tokenizer.json")
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": "<|begin|>"}))
    with pytest.raises(MapLLaVAError, match=r"BOS is '<\|begin\|>', which the vocabulary of 310"):
        ids(folder)


def word_level(*words: str) -> Tokenizer:
    tokens = ["<unk>", "<s>", "</s>", *words]
    made = Tokenizer(
        models.WordLevel({token: place for place, token in enumerate(tokens)}, unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def test_added_tokens_beyond_the_vocabulary_do_no_harm_unless_used(folder, converted, reference):
    """Alpaca's [PAD]: one more token than the model has rows for."""
    more = Tokenizer.from_str(converted.to_str())
    more.add_tokens([f"<extra {index}>" for index in range(20)])
    save_json(more, folder / "tokenizer.json")
    assert ids(folder) == [1, *reference.encode(PROMPT)]
    with pytest.raises(MapLLaVAError, match=r"gives the id 32\d in .*vocabulary of 320"):
        ids(folder, "Draw <extra 15>")


def test_words_that_are_not_known(folder, said):
    save_json(word_level(*["Draw", "the", "map", "now"]), folder / "tokenizer.json")
    assert ids(folder, "Draw the map") == [1, 3, 4, 5]
    assert ids(folder, "Draw the map now please") == [1, 3, 4, 5, 6, 0]
    assert "1 of 5 tokens of the prompt 'Draw the map now please' are unknown" in said[0]
    with pytest.raises(MapLLaVAError, match="does not know 2 of 3 tokens of 'make the drawing'"):
        ids(folder, "make the drawing")


@pytest.mark.parametrize("prompt", [None, "", "  \n", ["Draw."], 3])
def test_a_prompt_is_a_text(folder, converted, prompt):
    save_json(converted, folder / "tokenizer.json")
    with pytest.raises(MapLLaVAError, match=r"model\.decoder\.prompt is "):
        LLMMapDecoder.open_prompt(prompt=prompt, pretrained=str(folder))


# --- a tokenizer given beside the model


@pytest.fixture
def swapped(tmp_path, bare_llama):
    """The same words under other ids, in a folder each."""
    folders = []
    for name, order in (("a", 1), ("b", -1)):
        path = tmp_path / name
        path.mkdir()
        for file in bare_llama.iterdir():
            (path / file.name).symlink_to(file)
        save_json(word_level(*["Draw", "the", "map", "around", "car", "."][::order]), path / "tokenizer.json")
        folders.append(path)
    return folders


def test_a_tokenizer_of_another_model(swapped):
    a, b = swapped
    other = {"type": "HFTokenizer", "pretrained": str(a)}
    with pytest.raises(
        MapLLaVAError, match=r"tokenizer '.*a' gives \[3, 4, …?.*for 'Draw the .*own in .*b \[8, 7, .*another"
    ):
        ids(b, "Draw the map around the car .", tokenizer=other)
    assert ids(a, "Draw the map", tokenizer=other) == [1, 3, 4, 5]
    with pytest.raises(MapLLaVAError, match="'ByteTokenizer' gives"):
        ids(b, "Draw the map", tokenizer={"type": "ByteTokenizer"})


def test_every_text_is_compared_and_not_the_prompt_alone(swapped):
    a, b = swapped
    save_json(word_level(*["Draw", "the", "map", "car", "around", "."]), b / "tokenizer.json")
    prompt = LLMMapDecoder.open_prompt(
        prompt="Draw the map", pretrained=str(b), tokenizer={"type": "HFTokenizer", "pretrained": str(a)}
    )
    with pytest.raises(MapLLaVAError, match="for 'around the car'"):
        prompt.batch(["around the car"], 1, "cpu")


def test_where_nothing_can_be_compared_sizes_must_agree(folder, swapped, converted, tmp_path, said):
    with pytest.raises(MapLLaVAError, match=r"has 9 tokens, the model 320, and .*llama holds no tokenizer"):
        ids(folder, "Draw the map", tokenizer={"type": "HFTokenizer", "pretrained": str(swapped[0])})
    save_json(converted, tmp_path / "tokenizer.json")
    ids(folder, tokenizer={"type": "HFTokenizer", "pretrained": str(tmp_path)})
    assert "llama holds no tokenizer: that" in said[0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bos_token_id": 2}, r"has BOS 1, the model's config\.json says bos_token_id 2"),
        ({"vocab_size": 300}, r"has 310 tokens, the model 300: it belongs to another model"),
    ],
)
def test_a_tokenizer_that_contradicts_the_config(folder, converted, config, message):
    save_json(converted, folder / "tokenizer.json")
    (folder / "config.json").write_text(
        json.dumps({**json.loads((folder / "config.json").read_text()), **config})
    )
    with pytest.raises(MapLLaVAError, match=message):
        ids(folder)


def test_random_weights_spell_bytes():
    architecture = {"model_type": "llama", "vocab_size": 259}
    prompt = LLMMapDecoder.open_prompt(prompt="Draw.", architecture=architecture)
    assert prompt.ids("Draw.") == [1, *ByteTokenizer()("Draw.")]
    with pytest.raises(MapLLaVAError, match="'ByteTokenizer' has 259 tokens, the model 258"):
        LLMMapDecoder.open_prompt(prompt="Draw.", architecture={**architecture, "vocab_size": 258})


def test_the_identity_is_that_of_the_vocabulary(folder, sp_model, converted):
    (folder / "tokenizer.model").write_bytes(sp_model)
    first = HFTokenizer(str(folder)).describe()
    assert (first["vocab_size"], first["bos_token_id"]) == (310, 1)
    save_json(converted, folder / "tokenizer.json")
    assert HFTokenizer(str(folder)).describe() == first
