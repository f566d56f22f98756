"""Tokenizers, built from a config's ``tokenizer=dict(type=…)``.

A tokenizer is called with a text and gives its ids without BOS. It has ``vocab_size`` (all ids),
``base_vocab_size`` (without added tokens), ``bos_token_id`` and ``unk_token_id`` (or None), and
``describe()``, its identity in plain values. ``without_bos = True`` says that its texts begin with no
BOS; a plain None leaves the question to the language model.
"""

from mapllava.models.tokenizers.hf_tokenizer import HFTokenizer
from mapllava.models.tokenizers.plain_tokenizers import ByteTokenizer, RecordedTokenizer

__all__ = ["ByteTokenizer", "HFTokenizer", "RecordedTokenizer"]
