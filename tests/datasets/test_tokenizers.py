from __future__ import annotations

import pytest

from mapllava.datasets import ByteTokenizer, HFTokenizer
from mapllava.datasets.transforms import TokenizePrompt
from mapllava.errors import MapLLaVAError
from mapllava.registry import TOKENIZERS

TEXT = "Draw the map: 车道线 – dividers."


def test_bytes_begin_with_bos_and_come_back():
    tokenizer = ByteTokenizer()
    ids = tokenizer(TEXT)
    assert ids[0] == tokenizer.bos_token_id == 1
    assert len(ids) == 1 + len(TEXT.encode())
    assert min(ids[1:]) >= 3
    assert max(ids) < tokenizer.vocab_size == 259
    assert tokenizer.decode(ids) == TEXT
    assert tokenizer("") == [1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BPE that adds BOS and EOS by itself, as LLaMA's may."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    bpe = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator([TEXT] * 3, trainer)
    bpe.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    path = tmp_path_factory.mktemp("bpe")
    PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>").save_pretrained(path)
    return path


def test_a_hugging_face_folder(folder):
    tokenizer = TOKENIZERS.build({"type": "HFTokenizer", "pretrained": str(folder)})
    ids = tokenizer(TEXT)
    assert ids[0] == tokenizer.bos_token_id == 1
    assert ids.count(1) == 1
    assert 2 not in ids
    assert tokenizer.tokenizer.decode(ids[1:]) == TEXT
    assert max(ids) < tokenizer.vocab_size


def test_a_tokenizer_json_without_bos(folder):
    tokenizer = HFTokenizer(str(folder / "tokenizer.json"))
    assert tokenizer.bos_token_id is None
    assert tokenizer.tokenizer.decode(tokenizer(TEXT)) == TEXT


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(MapLLaVAError, match=f"no tokenizer loads from '{tmp_path}'"):
        HFTokenizer(str(tmp_path), local_files_only=True)(TEXT)


def test_the_transform_tokenises_once_and_hands_out_copies(monkeypatch):
    calls = []
    original = ByteTokenizer.__call__
    monkeypatch.setattr(
        ByteTokenizer, "__call__", lambda self, text: calls.append(text) or original(self, text)
    )
    transform = TokenizePrompt(prompt="map", tokenizer={"type": "ByteTokenizer"})
    first = transform({})["prompt_ids"]
    first[:] = 0
    second = transform({})
    assert second["prompt_ids"].tolist() == [1, *(b + 3 for b in b"map")]
    assert second["prompt"] == "map"
    assert calls == ["map"]
