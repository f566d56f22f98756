"""What the tests of tokenizers share."""

import json
from pathlib import Path

from tokenizers import Tokenizer

PROMPT = "Draw the map around the car: dividers, pedestrian crossings and road boundaries."


def save_json(tokenizer: Tokenizer, path: Path, **changes) -> None:
    """Write a tokenizer.json with changes at its top level."""
    path.write_text(json.dumps({**json.loads(tokenizer.to_str()), **changes}))
