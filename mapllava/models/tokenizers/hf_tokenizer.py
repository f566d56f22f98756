"""The tokenizer of a pretrained language model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mapllava.checkpoint import WeightSource
from mapllava.errors import MapLLaVAError
from mapllava.models.tokenizers.vocabulary_files import (
    JSON,
    SENTENCEPIECE,
    Vocabulary,
    added_tokens,
    read_sentencepiece,
    read_vocabulary,
    stated_tokens,
)
from mapllava.registry import TOKENIZERS


@TOKENIZERS.register_module()
class HFTokenizer:
    """A tokenizer from a folder as transformers saves it, or from the hub; no code in it is run.

    A hub's files are those that the language model's weights are read beside, so that nothing is
    downloaded twice and offline means offline.

    Args:
        pretrained: folder, ``tokenizer.json`` or ``tokenizer.model`` file, or hub id, optionally with
            ``@revision``.

    Raises:
        MapLLaVAError: if there is no tokenizer, or its files are damaged or contradict each other.
    """

    def __init__(self, pretrained: str) -> None:
        self.pretrained = str(pretrained)
        path = Path(self.pretrained).expanduser()
        self.path = path if path.exists() else WeightSource(self.pretrained).folder
        self.vocabulary: Vocabulary = read_vocabulary(self.path)
        stated = stated_tokens(self.path) if self.path.is_dir() else {}
        self.without_bos = (
            "bos_token" in stated and stated["bos_token"] is None and self.vocabulary.bos is None
        )
        self.bos_token_id = self._bos(stated.get("bos_token"))
        self.unk_token_id = self.vocabulary.tokens.get(stated.get("unk_token") or "", self.vocabulary.unk)
        self.eos_token_id = self.vocabulary.tokens.get(stated.get("eos_token") or "", self.vocabulary.eos)
        self.vocab_size = max(self.vocabulary.tokens.values(), default=-1) + 1
        self.base_vocab_size = self.vocabulary.base_size

    def __call__(self, text: str) -> list[int]:
        """Ids of ``text``, without BOS.

        Raises:
            MapLLaVAError: if the folder's files give different ids.
        """
        ids = list(self.vocabulary.encode(text))
        reference = self._reference
        if reference is None:
            return ids
        special = [token for token in self._special if token in text]
        if self.vocabulary.kind == reference.kind:
            if special:
                raise MapLLaVAError(
                    f"the prompt {text!r} contains the special token {special[0]!r}, which {SENTENCEPIECE} "
                    f"of {self.path} alone has no id for: take it out, or add {JSON}"
                )
        elif not special and ids != list(reference.encode(text)):
            raise MapLLaVAError(
                f"{JSON} and {SENTENCEPIECE} of {self.path} give different ids for {text!r}: one of them "
                "belongs to another model or was converted wrongly; copy both again, or remove it"
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special ones left out; bytes that are no UTF-8 become U+FFFD."""
        return self.vocabulary.decode([int(index) for index in ids])

    def describe(self) -> dict[str, Any]:
        """Identity, for a file that holds the ids it made; ``hash`` is SHA-256 over the vocabulary."""
        tokens = json.dumps(self.vocabulary.tokens, sort_keys=True, ensure_ascii=False)
        return {
            "vocab_size": self.vocab_size,
            "bos_token_id": self.bos_token_id,
            "hash": hashlib.sha256(tokens.encode("utf-8", errors="surrogatepass")).hexdigest(),
        }

    def __str__(self) -> str:
        return f"{self.vocabulary.kind} in {self.path}"

    @cached_property
    def _reference(self) -> Vocabulary | None:
        """The folder's SentencePiece model, which ids from elsewhere must agree with."""
        if self.vocabulary.kind == "SentencePiece":
            return self.vocabulary
        file = self.path / SENTENCEPIECE
        return read_sentencepiece(file) if self.path.is_dir() and file.is_file() else None

    @cached_property
    def _special(self) -> frozenset[str]:
        added = added_tokens(self.path) if self.path.is_dir() else frozenset()
        return self.vocabulary.special | added

    def _bos(self, token: str | None) -> int | None:
        """Id of the BOS that the files beside the vocabulary state, or else of its own.

        Raises:
            MapLLaVAError: if the vocabulary does not have it.
        """
        tokens = self.vocabulary.tokens
        if token is None:
            return self.vocabulary.bos
        if token not in tokens:
            raise MapLLaVAError(
                f"{self.path}: BOS is {token!r}, which the vocabulary of {len(tokens):,} tokens does not "
                "have: the files belong to different models; copy them again"
            )
        return tokens[token]
