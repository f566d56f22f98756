"""Vocabularies as folders hold them: ``tokenizer.json``, ``tokenizer.model``, or what transformers converts.

The first two are read by the libraries that define them, because they are complete: the classes of
transformers rebuild the steps around a vocabulary from ``tokenizer_config.json`` and the model's type,
and give other ids where these do not fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError

JSON, SENTENCEPIECE = "tokenizer.json", "tokenizer.model"
_CONVERTED = (("vocab.json", "merges.txt"), ("spiece.model",), ("sentencepiece.bpe.model",), ("vocab.txt",))
_LAYOUTS = f"{JSON}, {SENTENCEPIECE}, vocab.json with merges.txt, spiece.model or vocab.txt"
_LFS_POINTER = b"version https://git-lfs"
_INSTALL = "pip install 'sentencepiece>=0.2,<0.3' 'protobuf>=4.25,<8' (requirements/runtime.txt has both)"


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary, whatever file it came from.

    Attributes:
        kind: the library's name of it, for people.
        encode: text to ids, no special token added.
        decode: ids to text, special tokens left out.
        tokens: token to id.
        base_size: number of ids without added tokens.
        bos: what the file itself puts first or calls BOS, or None.
        unk: id of what it does not know, or None.
        eos: what the file itself ends a text with, or None.
        special: texts that have an id of their own.
    """

    kind: str
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    tokens: dict[str, int]
    base_size: int
    bos: int | None
    unk: int | None
    special: frozenset[str]
    eos: int | None = None


def vocabulary_file(folder: Path) -> Path | None:
    """The file of a folder that decides on ids (the first of two), or None if it holds no tokenizer."""
    for names in ((JSON,), (SENTENCEPIECE,), *_CONVERTED):
        if all((folder / name).is_file() for name in names):
            return folder / names[0]
    return None


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a folder's vocabulary, or that of one file.

    Args:
        path: a folder, a ``*.json`` of the tokenizers library, or a ``*.model`` of SentencePiece.

    Raises:
        MapLLaVAError: if there is none, it is damaged, or a library that reads it is missing.
    """
    file = vocabulary_file(path) if path.is_dir() else path
    if file is None:
        raise MapLLaVAError(
            f"{path} holds no tokenizer ({_LAYOUTS}): copy the tokenizer's files of the model into it, or "
            "name the folder that has them: tokenizer=dict(type='HFTokenizer', pretrained=…)"
        )
    with file.open("rb") as stream:
        if stream.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise MapLLaVAError(f"{file} is a Git LFS pointer, not the file: run git lfs pull in its folder")
    if file.name == SENTENCEPIECE or (path.is_file() and file.suffix == ".model"):
        return read_sentencepiece(file)
    if file.name == JSON or path.is_file():
        return _read_json(file)
    return _read_converted(path, file.name)


def read_sentencepiece(file: Path) -> Vocabulary:
    """A SentencePiece model, by SentencePiece itself.

    Raises:
        MapLLaVAError: if the library is missing, or the file is no such model.
    """
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise MapLLaVAError(f"{file} is read by sentencepiece, which is not installed: {_INSTALL}") from error
    try:
        model = SentencePieceProcessor(model_file=str(file))
    except (RuntimeError, OSError) as error:
        raise MapLLaVAError(
            f"{file} is no SentencePiece model, or damaged ({' '.join(str(error).split())}): copy it again; "
            f"a vocabulary of tiktoken must be given as {JSON}"
        ) from error
    pieces = {model.id_to_piece(index): index for index in range(model.vocab_size())}
    special = {piece for piece, index in pieces.items() if model.is_control(index) or model.is_unknown(index)}
    return Vocabulary(
        kind="SentencePiece",
        encode=model.encode,
        decode=model.decode,
        tokens=pieces,
        base_size=len(pieces),
        bos=model.bos_id() if model.bos_id() >= 0 else None,
        unk=model.unk_id() if model.unk_id() >= 0 else None,
        special=frozenset(special),
        eos=model.eos_id() if model.eos_id() >= 0 else None,
    )


def _read_json(file: Path) -> Vocabulary:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise MapLLaVAError(
            f"{file} is no tokenizer of the tokenizers library, or damaged ({' '.join(str(error).split())}): "
            "copy it again"
        ) from error
    tokenizer.no_truncation()  # settings of whoever saved it
    tokenizer.no_padding()

    def encode(text: str, special: bool = False) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=special).ids

    # BOS is what the file's own post-processor puts before a text: found by comparing one with and without
    plain, framed = encode("a"), encode("a", True)
    begins = [at for at in range(len(framed)) if framed[at : at + len(plain)] == plain] if plain else [0]
    unknown = getattr(tokenizer.model, "unk_token", None)
    return Vocabulary(
        kind=f"{type(tokenizer.model).__name__} of {JSON}",
        encode=encode,
        decode=tokenizer.decode,
        tokens=tokenizer.get_vocab(with_added_tokens=True),
        base_size=tokenizer.get_vocab_size(with_added_tokens=False),
        bos=framed[0] if begins and begins[0] == 1 else None,
        unk=None if unknown is None else tokenizer.token_to_id(unknown),
        special=frozenset(token.content for token in tokenizer.get_added_tokens_decoder().values()),
    )


def _read_converted(folder: Path, name: str) -> Vocabulary:
    """What is not complete without a class of transformers."""
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of many libraries, none of which share a class
        missing = [module for module in ("sentencepiece", "google.protobuf") if not _importable(module)]
        remedy = _INSTALL if missing else f"save the tokenizer as {JSON} (save_pretrained), or copy it again"
        text = " ".join(str(error).split())
        raise MapLLaVAError(
            f"no tokenizer comes of {folder / name} ({type(error).__name__}: {text}): {remedy}"
        ) from error
    return Vocabulary(
        kind=type(tokenizer).__name__,
        encode=lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"]),
        decode=lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True)),
        tokens=tokenizer.get_vocab(),
        base_size=tokenizer.vocab_size,
        bos=tokenizer.bos_token_id,
        unk=tokenizer.unk_token_id,
        special=frozenset(tokenizer.all_special_tokens),
        eos=tokenizer.eos_token_id,
    )


def stated_tokens(folder: Path) -> dict[str, str | None]:
    """Special tokens that the files beside a vocabulary state, such as ``bos_token``; None where null."""
    stated: dict[str, str | None] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        for key, value in read_settings(folder / name).items():
            text = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and (text is None or isinstance(text, str)):
                stated[key] = text
    return stated


def added_tokens(folder: Path) -> frozenset[str]:
    """Tokens that the files beside a vocabulary add to it."""
    decoder = read_settings(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
    return frozenset(
        {*read_settings(folder / "added_tokens.json"), *(token["content"] for token in decoder.values())}
    )


def read_settings(file: Path) -> dict[str, Any]:
    """A JSON file's dict; an empty one where there is no file.

    Raises:
        MapLLaVAError: if it is damaged.
    """
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
    except (TypeError, ValueError) as error:
        raise MapLLaVAError(f"{file} is damaged ({error}): copy it again") from error


def _importable(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
