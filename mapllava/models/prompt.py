"""Prompts as token ids of the language model that reads them, checked against it.

Shapes: B batch, T tokens of the batch's longest prompt, BOS among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from logging import WARNING
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from mapllava.checkpoint import WeightSource
from mapllava.errors import MapLLaVAError
from mapllava.models.tokenizers import HFTokenizer, RecordedTokenizer
from mapllava.models.tokenizers.vocabulary_files import read_settings, vocabulary_file
from mapllava.registry import TOKENIZERS

_MAX_UNKNOWN = 0.25  # of a prompt's tokens
_SAME_SIZE = 0.9  # of the model's vocabulary: models round theirs up, by less than this
_MAX_KEPT = 4096  # texts
_ANOTHER = "it belongs to another model"


class Prompt:
    """A decoder's own prompt, and the tokenizer that makes ids of it and of the samples' texts.

    The ids begin with BOS: the one that the tokenizer's files name; where they name none, the one that
    the model's ``config.json`` (or ``generation_config.json``) does; none where the files say that there is
    none (``bos_token: null``, as Qwen's) or nobody names one.

    Args:
        text: the decoder's own prompt.
        tokenizer: config of the tokenizer; None for the one in the model's own folder, and for
            ``ByteTokenizer`` where it starts from random weights.
        config: the language model's config of transformers.
        source: where the model's own files are, or None if it starts from random weights.
        place: of the part in the config, for messages.

    Raises:
        MapLLaVAError: if there is no text, no tokenizer in the folder, or the tokenizer is not the model's:
            another BOS, ids outside the vocabulary, other ids than the model's own tokenizer gives, words it
            does not know.
    """

    def __init__(
        self,
        text: Any,
        tokenizer: Mapping[str, Any] | None,
        config: Any,
        source: WeightSource | None,
        place: str = "model.decoder",
    ) -> None:
        if not isinstance(text, str) or not text.strip():
            raise MapLLaVAError(
                f"{place}.prompt is {text!r}: a language model needs a text, such as 'Draw the map around "
                "the car.' before the scene tokens"
            )
        self.text: str = text
        self.place = place
        self.vocab_size = int(config.vocab_size)
        self._ids: dict[str, list[int]] = {}
        self._own: HFTokenizer | None = None
        folder = None if source is None else source.folder
        if tokenizer is None and source is not None:
            self.config = {"type": "HFTokenizer", "pretrained": source.name}
            self.tokenizer: Any = HFTokenizer(str(folder))
        else:
            self.config = dict(tokenizer or {"type": "ByteTokenizer"})
            self.tokenizer = TOKENIZERS.build(dict(self.config))
            if folder is not None and not isinstance(self.tokenizer, RecordedTokenizer):
                self._compare_with(folder)
        size = self.tokenizer.base_vocab_size
        if size > self.vocab_size:
            raise self._error(f"has {size:,} tokens, the model {self.vocab_size:,}: {_ANOTHER}")
        self.bos_token_id = self._bos(_bos_of(config, folder))
        self.ids(text)

    def __deepcopy__(self, memo: dict) -> Prompt:
        """Itself: nothing in it changes, and averaged copies of a model need no second vocabulary."""
        return self

    def __str__(self) -> str:
        bos = "no BOS" if self.bos_token_id is None else f"BOS {self.bos_token_id}"
        name = (
            str(self.tokenizer) if isinstance(self.tokenizer, HFTokenizer) else type(self.tokenizer).__name__
        )
        return (
            f"{name}, {self.tokenizer.vocab_size:,} tokens, {bos}; the prompt has {len(self.ids(self.text))}"
        )

    def ids(self, text: str) -> list[int]:
        """Ids of a text, BOS first; made and checked once per text.

        Raises:
            MapLLaVAError: as the class says.
        """
        if text not in self._ids:
            if len(self._ids) >= _MAX_KEPT:
                self._ids.clear()
            self._ids[text] = self._checked(text)
        return self._ids[text]

    def batch(
        self, texts: Sequence[str | None] | None, size: int, device: torch.device | str
    ) -> tuple[Tensor, Tensor | None]:
        """Ids of a batch, shorter prompts padded on the left.

        Args:
            texts: B texts, None among them for the decoder's own; None for its own throughout.
            size: B.
            device: where the ids go.

        Returns:
            ids (B, T), and the number of padding tokens (B,), or None if there is no padding.

        Raises:
            MapLLaVAError: as the class says.
            ValueError: if there are not B texts.
        """
        if texts is not None and len(texts) != size:
            raise ValueError(f"{len(texts)} prompts for {size} samples")
        rows = [self.ids(self.text if text is None else text) for text in texts or [None] * size]
        longest = max(map(len, rows))
        padding = [longest - len(row) for row in rows]
        # On the left, so that all samples' scene tokens begin at one index; which id it is does not matter
        padded = [row[:1] * count + row for row, count in zip(rows, padding, strict=True)]
        counts = torch.tensor(padding, device=device) if any(padding) else None
        return torch.tensor(padded, device=device), counts

    def describe(self) -> dict[str, Any]:
        """``text``, its ``ids``, and the ``tokenizer``'s config and identity, in plain values."""
        identity = self.tokenizer.describe() if hasattr(self.tokenizer, "describe") else {}
        identity["bos_token_id"] = self.bos_token_id
        return {"text": self.text, "ids": list(self.ids(self.text)), "tokenizer": {**self.config, **identity}}

    def _checked(self, text: str) -> list[int]:
        ids = list(self.tokenizer(text))
        if not ids:
            raise self._error(f"makes no token of the prompt {text!r}: its vocabulary is empty or damaged")
        outside = [index for index in ids if not 0 <= index < self.vocab_size]
        if outside:
            raise self._error(
                f"gives the id {outside[0]} in {text!r}, outside the model's vocabulary of "
                f"{self.vocab_size:,}: {_ANOTHER}, or the model was not trained with this added token"
            )
        if self.bos_token_id is not None and ids[0] == self.bos_token_id:
            raise self._error(f"finds BOS in the prompt {text!r}, which is put in front of it: take it out")
        unknown = ids.count(self.tokenizer.unk_token_id)
        if unknown > _MAX_UNKNOWN * len(ids):
            raise self._error(
                f"does not know {unknown} of {len(ids)} tokens of {text!r}: {_ANOTHER}, or use other words"
            )
        if unknown:
            print_log(
                f"{unknown} of {len(ids)} tokens of the prompt {text!r} are unknown", "current", WARNING
            )
        if self._own is not None and (theirs := self._own(text)) != ids:
            raise self._error(
                f"gives {_start(ids)} for {text!r}, the model's own in {self._own.path} {_start(theirs)}: "
                f"{_ANOTHER}; set {self.place}.tokenizer=None for the latter"
            )
        return ids if self.bos_token_id is None else [self.bos_token_id, *ids]

    def _bos(self, of_model: int | None) -> int | None:
        """The id that prompts begin with."""
        bos = self.tokenizer.bos_token_id
        if bos is None:
            bos = None if getattr(self.tokenizer, "without_bos", False) else of_model
        elif of_model is not None and bos != of_model:
            raise self._error(
                f"has BOS {bos}, the model's config.json says bos_token_id {of_model}: {_ANOTHER}, or the "
                "config is wrong"
            )
        if bos is not None and not 0 <= bos < self.vocab_size:
            raise self._error(
                f"has BOS {bos}, outside the model's vocabulary of {self.vocab_size:,}: {_ANOTHER}"
            )
        return bos

    def _compare_with(self, folder: Path) -> None:
        """Remember the model's own tokenizer to compare ids with; without one only sizes can be compared."""
        if vocabulary_file(folder) is not None:
            self._own = HFTokenizer(str(folder))
            return
        size = self.tokenizer.vocab_size
        if size < _SAME_SIZE * self.vocab_size:
            raise self._error(
                f"has {size:,} tokens, the model {self.vocab_size:,}, and {folder} holds no tokenizer to "
                f"compare with: {_ANOTHER}"
            )
        print_log(
            f"{folder} holds no tokenizer: that {self.config} is the model's own cannot be checked, only "
            "that vocabulary size and BOS agree",
            "current",
            WARNING,
        )

    def _error(self, what: str) -> MapLLaVAError:
        name = self.config.get("pretrained") or self.config["type"]
        return MapLLaVAError(f"the tokenizer '{name}' {what}")


def _bos_of(config: Any, folder: Path | None) -> int | None:
    """BOS of a language model as its config says it, or else its ``generation_config.json``."""
    if isinstance(config.bos_token_id, int):
        return config.bos_token_id
    found = None if folder is None else read_settings(folder / "generation_config.json").get("bos_token_id")
    return found if isinstance(found, int) else None


def _start(ids: list[int]) -> str:
    return f"[{', '.join(map(str, ids[:5]))}{', …' if len(ids) > 5 else ''}]"
