"""A trained request parser from its file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from mmengine.registry import DefaultScope

from mapllava.apis.inference import place_bases
from mapllava.checkpoint import read_model_file
from mapllava.checkpoint.model_loader import load_trained
from mapllava.config.trusted import check_components
from mapllava.errors import MapLLaVAError
from mapllava.models.parsers import RequestParser
from mapllava.plugins import import_installed_plugins
from mapllava.registry import MODELS, SCOPE, find

_THRESHOLD = "request"  # in the file's display, as RequestMetric writes it


def load_parser(
    path: str | Path,
    device: str | torch.device | None = None,
    pretrained: str | Path | None = None,
) -> RequestParser:
    """Build a trained parser from its file, ready to parse.

    The file holds the adapter (or all of a small model) and what the language model was; its weights and
    tokenizer come from the folder that the training read, or from ``pretrained``, and must be the same.

    Args:
        path: ``best_model.pth`` of a run of ``configs/language``.
        device: where it runs; the first GPU by default, or else the CPU.
        pretrained: folder of the language model, where it has moved.

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
    place_bases(
        file, config["model"], {} if pretrained is None else dict.fromkeys(bases or ["?"], pretrained)
    )
    check_components(config["model"], "model", str(path))
    example = "" if not bases else ", pretrained='FOLDER'"
    remedy = f"Where it lies elsewhere: mapllava.load_parser({str(path)!r}{example})"
    content = {"state_dict": file.state, "meta": file.meta}
    with DefaultScope.overwrite_default_scope(SCOPE):
        model = load_trained(config, content, path, device, remedy, same_precision=True)
    parser = cast(RequestParser, model)
    parser.min_confidence = calibrated(file.meta, parser.min_confidence)
    return parser


def calibrated(meta: Mapping, otherwise: float) -> float:
    """The threshold that a model file has, or another."""
    display = meta.get("display") or {}
    return float((display.get("thresholds") or {}).get(_THRESHOLD, otherwise))
