"""A LLaMA with a SentencePiece vocabulary, trained here, in a folder without its tokenizer's files."""

import io
import shutil
from pathlib import Path

import pytest
import sentencepiece
from tokenizers import Tokenizer, models, normalizers, processors

from mapllava.testing import write_tiny_llama
from tests.models.tokenizers.layouts import PROMPT


@pytest.fixture(scope="session")
def sp_model() -> bytes:
    """A byte-fallback BPE such as LLaMA's: <unk> 0, <s> 1, </s> 2, then the bytes."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([PROMPT, "Six cameras look around the car.", "a b c d e f g h"] * 4),
        model_writer=out,
        vocab_size=310,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return out.getvalue()


@pytest.fixture(scope="session")
def reference(sp_model):
    """SentencePiece itself."""
    return sentencepiece.SentencePieceProcessor(model_proto=sp_model)


@pytest.fixture(scope="session")
def converted(reference) -> Tokenizer:
    """The same vocabulary as the tokenizers library has it."""
    pieces = {reference.id_to_piece(index): index for index in range(reference.vocab_size())}
    merges = [
        (piece[:cut], piece[cut:])
        for piece in sorted(pieces, key=lambda each: reference.get_score(pieces[each]), reverse=True)
        for cut in range(1, len(piece))
        if pieces[piece] > 258 and piece[:cut] in pieces and piece[cut:] in pieces
    ]
    made = Tokenizer(models.BPE(pieces, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return made


@pytest.fixture(scope="session")
def bare_llama(tmp_path_factory) -> Path:
    """Weights and config.json alone."""
    folder = write_tiny_llama(tmp_path_factory.mktemp("bare"))
    for path in folder.glob("tokenizer*"):
        path.unlink()
    return folder


@pytest.fixture
def folder(bare_llama, tmp_path) -> Path:
    """A copy of it, for a test to fill."""
    return Path(shutil.copytree(bare_llama, tmp_path / "llama"))
