"""A prompt for decoders whose vocabulary does not matter, as ids that no tokenizer need make."""

IDS = [1, 7, 9]  # BOS first
WORDS = {
    "prompt": "map",
    "tokenizer": {"type": "RecordedTokenizer", "ids": {"map": IDS}, "identity": {"bos_token_id": 1}},
}
