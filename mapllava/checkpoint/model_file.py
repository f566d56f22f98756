"""The file a trained model lives in: what trained, and the description of everything else.

Layout, format 3 (tensors and plain values only, so ``torch.load(weights_only=True)`` reads it):

* ``state_dict``: what trained, and buffers; frozen base weights are described, not stored
* ``meta``: ``format_version``, ``mapllava_version``; ``full_config``, the run's config as plain values;
  ``base_weights``, per component ``id``, ``revision``, ``hash``, ``dtype``, ``quantization``;
  ``prompt``: ``text``, ``ids``, ``tokenizer`` (its config and identity), or None; ``architectures``: the
  Hugging Face config of every backbone; ``map_spec``; ``cameras``: their names in the trained order;
  ``best``: the metric, split and epoch that chose the model, in ``best_model.pth``; ``display`` beside it:
  ``thresholds``, class to the score from which on its lines are drawn, and their ``source``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mapllava.checkpoint.plain_file import is_state, read_plain
from mapllava.config.moved import bring_up_to_date, reads_prompt
from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write
from mapllava.version import __version__

FORMAT_VERSION = 3
DESCRIPTION = (
    "format_version",
    "mapllava_version",
    "full_config",
    "base_weights",
    "prompt",
    "architectures",
    "map_spec",
    "cameras",
)
"""Keys of ``meta`` that every model file of this format has."""

_PROMPT_IN_PIPELINE = 2  # the format in which a transform made ids of the prompt, whatever the decoder
_CHOICE = ("best", "display", "epoch", "iter")


@dataclass
class ModelFile:
    """A model file's contents.

    Attributes:
        path: where it was read from.
        state: names and tensors of what trained.
        meta: see the module's text.
    """

    path: Path
    state: dict[str, Tensor]
    meta: dict[str, Any]

    def description(self) -> dict[str, Any]:
        """The part of ``meta`` that belongs to the model and not to the run that made it."""
        return {key: self.meta[key] for key in (*DESCRIPTION, *_CHOICE) if key in self.meta}


def read_model_file(path: str | Path) -> ModelFile:
    """Read a model file; nothing in it is executed.

    Args:
        path: ``best_model.pth``, ``final_model.pth`` or a checkpoint of an epoch.

    Raises:
        MapLLaVAError: if it is missing, cut short, no model file, or of another format.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise MapLLaVAError(f"model file '{path}' is not there: give a run folder's best_model.pth")
    content = read_plain(path)
    state, meta = (content.get(key) if isinstance(content, dict) else None for key in ("state_dict", "meta"))
    if not is_state(state) or not isinstance(meta, dict) or "format_version" not in meta:
        raise MapLLaVAError(
            f"'{path}' holds no mapllava model (no state_dict with a meta.format_version): give a run "
            "folder's best_model.pth; weights of a base model belong into the config's 'pretrained'"
        )
    _check_format(path, meta)
    bring_up_to_date(meta["full_config"])
    if not reads_prompt(meta["full_config"]) and meta["format_version"] == _PROMPT_IN_PIPELINE:
        meta["prompt"] = None
    return ModelFile(path, dict(state), meta)


def write_model_file(path: str | Path, state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Path:
    """Write a model file whole or not at all; returns its path."""
    with atomic_write(path) as partial, partial.open("wb") as stream:
        torch.save({"meta": dict(meta), "state_dict": dict(state)}, stream)
    return Path(path)


def write_half(path: str | Path, model: str | Path, **changed: Any) -> Path:
    """Write a model file's copy with its numbers in float16: half the bytes.

    Components compute in the precision that the config says, from numbers rounded to 11 bits: what the file
    says of its score was measured before. What belongs to the run alone is left out.

    Args:
        path: to write.
        model: a model file.
        **changed: entries of ``meta`` that are others in the copy.

    Raises:
        MapLLaVAError: if the model cannot be read, is written over, or holds a number that float16 does not.
    """
    file = read_model_file(model)
    if Path(path).expanduser().resolve() == file.path.resolve():
        raise MapLLaVAError(
            f"'{path}' is the model itself: name another file, for the copy has less precision"
        )
    state: dict[str, Tensor] = {}
    copies: dict[tuple, Tensor] = {}  # what is one tensor stays one
    for name, each in file.state.items():
        key = (each.data_ptr(), each.shape, each.stride())
        state[name] = copies.setdefault(key, each.half() if each.is_floating_point() else each)
    lost = [name for name, each in file.state.items() if (each.isfinite() & state[name].isinf()).any()]
    if lost:
        raise MapLLaVAError(
            f"'{model}': {lost[0]} holds numbers above 65504, which float16 has not: keep it as it is"
        )
    return write_model_file(path, state, {**file.description(), **changed})


def _check_format(path: Path, meta: Mapping[str, Any]) -> None:
    version = meta["format_version"]
    if version == 1:
        raise MapLLaVAError(
            f"'{path}' is of format 1, which does not hold its config: evaluate it with mapllava test "
            "CONFIG CHECKPOINT; training that goes on from it (--resume) writes complete files"
        )
    if version not in (_PROMPT_IN_PIPELINE, FORMAT_VERSION):
        raise MapLLaVAError(
            f"'{path}' is of format {version}, written by mapllava {meta.get('mapllava_version')}; this is "
            f"mapllava {__version__}, which reads format {FORMAT_VERSION}: install the former's version"
        )
    wrong = [key for key in DESCRIPTION if key not in meta] or _malformed(meta)
    if wrong:
        raise MapLLaVAError(
            f"'{path}': meta lacks a valid {', '.join(wrong)}: the file was changed after writing, or "
            "another program wrote it; copy it again from the run folder"
        )


def _malformed(meta: Mapping[str, Any]) -> list[str]:
    config, bases, prompt = meta["full_config"], meta["base_weights"], meta["prompt"]
    valid = {
        "full_config": isinstance(config, dict) and isinstance(config.get("model"), dict),
        "base_weights": isinstance(bases, dict) and all(isinstance(base, dict) for base in bases.values()),
        "prompt": prompt is None or (isinstance(prompt, dict) and isinstance(prompt.get("ids"), list)),
        "map_spec": isinstance(meta["map_spec"], dict),
        "architectures": isinstance(meta["architectures"], dict),
    }
    return [key for key, fine in valid.items() if not fine]
