"""Tokenizers of the prompt, built from a config's ``tokenizer=dict(type=…)``.

Both begin with BOS and append nothing, because scene tokens and map queries follow the prompt.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mapllava.errors import MapLLaVAError
from mapllava.registry import TOKENIZERS


@TOKENIZERS.register_module()
class ByteTokenizer:
    """UTF-8 bytes as tokens: needs no files and knows every language.

    Ids: 0 padding, 1 BOS, 2 EOS, byte b is ``b + 3``; vocabulary 259.
    """

    bos_token_id = 1
    vocab_size = 259
    _offset = 3

    def __call__(self, text: str) -> list[int]:
        """Ids of ``text``, BOS first."""
        return [self.bos_token_id, *(byte + self._offset for byte in text.encode("utf-8"))]

    def describe(self) -> dict[str, Any]:
        """Identity, for a file that holds the ids it made."""
        return {"vocab_size": self.vocab_size, "bos_token_id": self.bos_token_id}

    def decode(self, ids: list[int]) -> str:
        """The text behind ``ids``; special ids are left out."""
        return bytes(i - self._offset for i in ids if i >= self._offset).decode("utf-8", errors="replace")


@TOKENIZERS.register_module()
class HFTokenizer:
    """A Hugging Face tokenizer, from a folder or the hub; transformers is imported on first use.

    Args:
        pretrained: Folder, ``tokenizer.json`` file, or hub id.
        **kwargs: Passed to ``AutoTokenizer.from_pretrained`` (``revision``, ``local_files_only`` …).

    Raises:
        MapLLaVAError: If code that comes with a tokenizer is to be run.
    """

    def __init__(self, pretrained: str, **kwargs: Any) -> None:
        if kwargs.get("trust_remote_code"):
            raise MapLLaVAError(
                f"HFTokenizer(pretrained='{pretrained}', trust_remote_code=True): code that comes with a "
                "tokenizer is never run; leave the argument out, or name one that transformers knows"
            )
        self.pretrained = str(pretrained)
        self.kwargs = {**kwargs, "trust_remote_code": False}  # None would ask the user, on the terminal
        self._tokenizer: Any = None

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer.

        Raises:
            MapLLaVAError: If transformers is missing or nothing loads from ``pretrained``.
        """
        if self._tokenizer is None:
            self._tokenizer = self._load()
        return self._tokenizer

    @property
    def vocab_size(self) -> int:
        """Number of ids, added tokens included."""
        return len(self.tokenizer)

    @property
    def bos_token_id(self) -> int | None:
        """Id of BOS, or None where the vocabulary has none."""
        return self.tokenizer.bos_token_id

    def __call__(self, text: str) -> list[int]:
        """Ids of ``text``, BOS first where the vocabulary has one; no EOS."""
        ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return ids if self.bos_token_id is None else [self.bos_token_id, *ids]

    def describe(self) -> dict[str, Any]:
        """Identity, for a file that holds the ids it made; ``hash`` is SHA-256 over the vocabulary."""
        vocabulary = json.dumps(self.tokenizer.get_vocab(), sort_keys=True, ensure_ascii=False)
        return {
            "vocab_size": self.vocab_size,
            "bos_token_id": self.bos_token_id,
            "hash": hashlib.sha256(vocabulary.encode()).hexdigest(),
        }

    def _load(self) -> Any:
        try:
            from transformers import AutoTokenizer, PreTrainedTokenizerFast
        except ImportError as error:
            raise MapLLaVAError(
                f"HFTokenizer(pretrained='{self.pretrained}') needs transformers: "
                "pip install 'transformers>=5.17,<6', or use tokenizer=dict(type='ByteTokenizer')"
            ) from error
        try:
            if self.pretrained.endswith(".json"):
                return PreTrainedTokenizerFast(tokenizer_file=self.pretrained, **self.kwargs)
            return AutoTokenizer.from_pretrained(self.pretrained, **self.kwargs)
        except Exception as error:
            raise MapLLaVAError(
                f"no tokenizer loads from '{self.pretrained}' ({type(error).__name__}: {error}). Give a "
                "folder with tokenizer.json and tokenizer_config.json, or a hub id; HF_ENDPOINT must be set "
                "before Python starts"
            ) from error
