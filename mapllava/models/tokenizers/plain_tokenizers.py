"""Tokenizers that need no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.registry import TOKENIZERS


@TOKENIZERS.register_module()
class ByteTokenizer:
    """UTF-8 bytes as tokens: knows every language, for a language model that starts from random weights.

    Ids: 0 padding, 1 BOS, 2 EOS, byte b is ``b + 3``; vocabulary 259.
    """

    bos_token_id = 1
    eos_token_id = 2
    unk_token_id = None
    vocab_size = base_vocab_size = 259
    _offset = 3

    def __call__(self, text: str) -> list[int]:
        """Ids of ``text``, without BOS."""
        return [byte + self._offset for byte in text.encode("utf-8")]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special ones left out; bytes that are no UTF-8 become U+FFFD."""
        known = [index - self._offset for index in ids if self._offset <= index < self.vocab_size]
        return bytes(known).decode("utf-8", errors="replace")

    def describe(self) -> dict[str, Any]:
        """Identity, for a file that holds the ids it made."""
        return {"vocab_size": self.vocab_size, "bos_token_id": self.bos_token_id}


@TOKENIZERS.register_module()
class RecordedTokenizer:
    """The ids that another tokenizer once made, as a model file holds them: that one need not be at hand.

    Args:
        ids: text to ids, BOS first where the tokenizer had one.
        identity: what the tokenizer said of itself (``describe()``).
    """

    unk_token_id = None

    def __init__(self, ids: Mapping[str, Sequence[int]], identity: Mapping[str, Any]) -> None:
        self.identity = dict(identity)
        self.bos_token_id: int | None = self.identity.get("bos_token_id")
        self.without_bos = self.bos_token_id is None
        self.vocab_size = self.base_vocab_size = int(self.identity.get("vocab_size") or 0)
        self._ids = {text: list(map(int, known)) for text, known in ids.items()}

    def __call__(self, text: str) -> list[int]:
        """Ids of ``text``, without BOS.

        Raises:
            MapLLaVAError: if they were not recorded.
        """
        if text not in self._ids:
            raise MapLLaVAError(
                f"the prompt {text!r} is not among those that the model file holds the ids of "
                f"({', '.join(map(repr, self._ids))}): use one of them, or build the model from its config"
            )
        return self._ids[text][0 if self.without_bos else 1 :]

    def describe(self) -> dict[str, Any]:
        """What the tokenizer said of itself."""
        return dict(self.identity)
