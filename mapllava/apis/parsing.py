"""A trained request parser from its file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import nn

from mapllava.apis.inference import MapPredictor, place_bases
from mapllava.checkpoint import ModelFile, read_model_file
from mapllava.checkpoint.base_weights import IDENTITY, base_weight_modules
from mapllava.checkpoint.model_loader import load_trained
from mapllava.config.trusted import check_components
from mapllava.errors import MapLLaVAError
from mapllava.models.decoders import LLMMapDecoder
from mapllava.models.parsers import RequestParser
from mapllava.models.parsers.language_model import ADAPTER
from mapllava.plugins import import_installed_plugins
from mapllava.registry import MODELS, SCOPE, find

_THRESHOLD = "request"  # in the file's display, as RequestMetric writes it
_MODEL = "language_model"  # of a parser, in its config and among its base weights


def load_parser(
    path: str | Path,
    device: str | torch.device | None = None,
    pretrained: str | Path | None = None,
    beside: MapPredictor | None = None,
) -> RequestParser:
    """Build a trained parser from its file, ready to parse.

    The file holds the adapter (or all of a small model) and what the language model was; its weights and
    tokenizer come from the folder that the training read, or from ``pretrained``, and must be the same.

    Args:
        path: ``best_model.pth`` of a run of ``configs/language``.
        device: where it runs; the first GPU by default, or else the CPU.
        pretrained: folder of the language model, where it has moved.
        beside: a map model. Where its decoder is the same language model, frozen and in the same precision,
            the parser computes with those weights, so that they are in memory once; only the vocabulary head
            is read, from the decoder's folder if the parser's own is not there. Neither changes what the
            other gives. The log says if so, or why not. Move the two to another device together.

    Returns:
        The parser in evaluation mode, with the threshold that its training calibrated.

    Raises:
        MapLLaVAError: if the file is missing, damaged, foreign, or a map model's; if the language model is
            missing or another.
    """
    import_installed_plugins()
    file = read_model_file(path)
    config = copy.deepcopy(file.meta["full_config"])
    kind = find(MODELS, config["model"].get("type"))
    if not (isinstance(kind, type) and issubclass(kind, RequestParser)):
        raise MapLLaVAError(
            f"'{path}' holds a {config['model'].get('type')}, no request parser: give the best_model.pth of "
            "mapllava train language/ask_smollm2"
        )
    bases = list(file.meta["base_weights"])
    decoder = None if beside is None else _lender(beside, file, device)
    if decoder is not None:
        device = next(decoder.backbone.parameters()).device
        own = config["model"][_MODEL]["pretrained"]
        if pretrained is None and not Path(own).expanduser().is_dir():
            pretrained = (decoder.base_weights or {}).get("id")
    place_bases(
        file, config["model"], {} if pretrained is None else dict.fromkeys(bases or ["?"], pretrained)
    )
    check_components(config["model"], "model", str(path))
    if decoder is not None:
        config["model"][_MODEL]["held"] = decoder.backbone
    example = "" if not bases else ", pretrained='FOLDER'"
    remedy = f"Where it lies elsewhere: mapllava.load_parser({str(path)!r}{example})"
    content = {"state_dict": file.state, "meta": file.meta}
    with DefaultScope.overwrite_default_scope(SCOPE):
        model = load_trained(config, content, path, device, remedy, same_precision=True)
    parser = cast(RequestParser, model)
    parser.min_confidence = calibrated(file.meta, parser.min_confidence)
    return parser


def _lender(beside: MapPredictor, file: ModelFile, device: str | torch.device | None) -> LLMMapDecoder | None:
    """The map decoder whose language model a parser can use; None where it cannot. Says so, and why."""
    decoder = getattr(beside.model, "decoder", None)
    ours = base_weight_modules(beside.model, beside.meta["full_config"]["model"]).get("decoder")
    theirs = file.meta["base_weights"].get(_MODEL)
    if not isinstance(decoder, LLMMapDecoder) or not decoder.frozen or ours is None:
        why = "the map decoder is no frozen pretrained one"
    elif theirs is None or not all(f".{ADAPTER}." in key for key in file.state):
        why = "it was trained itself"
    elif any(theirs.get(key) != ours.get(key) for key in IDENTITY):
        why = f"it is {_named(theirs)}, the map decoder's {_named(ours)}"
    elif not _same_device(device, decoder):
        why = f"it is to run on {device}, where the map decoder is not"
    else:
        print_log(f"'{file.path}': its language model is the map decoder's, in memory once", logger="current")
        return decoder
    print_log(f"'{file.path}': its language model is in memory on its own: {why}", logger="current")
    return None


def _named(base: Mapping[str, Any]) -> str:
    of, precision = str(base.get("hash"))[:12], base.get("quantization") or base.get("dtype")
    return f"'{base.get('id')}' ({of}…, {precision})"


def _same_device(wanted: str | torch.device | None, model: nn.Module) -> bool:
    return wanted is None or torch.empty(0, device=wanted).device == next(model.parameters()).device


def calibrated(meta: Mapping, otherwise: float) -> float:
    """The threshold that a model file has, or another."""
    display = meta.get("display") or {}
    return float((display.get("thresholds") or {}).get(_THRESHOLD, otherwise))
