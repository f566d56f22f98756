"""Which configs need packages that are optional."""

import pytest


def need_extras(model: dict) -> None:
    """Skip the test where a package is missing that the model asks for."""
    for part in ("vision_encoder", "decoder", "language_model"):
        if part not in model:
            continue
        if "quantization" in model[part]:
            pytest.importorskip("bitsandbytes")
        if "lora" in model[part]:
            pytest.importorskip("peft")
