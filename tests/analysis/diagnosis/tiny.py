"""A tiny untrained run on the tests' city: config.json and best_model.pth in a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config

from mapllava.config.resolve import resolve
from mapllava.registry import MODELS

SPEC = {
    "frame": "lidar",
    "roi": [-15.0, -30.0, 15.0, 30.0],
    "classes": ["divider", "ped_crossing", "boundary"],
}
_QFORMER = {
    "type": "QFormerCore",
    "architecture": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "cross_attention_frequency": 2,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
}
NECKS = {
    "bev": {
        "type": "BEVQFormerNeck",
        "bev_dims": 8,
        "cell": 3.0,
        "heights": [-1.8],
        "tokens": {"stride": 5},
        "dilations": [1],
        "attention": {"radius": 6.0, "pool": 2},
        "loss_bev": {"bce": 1.0, "dice": 1.0},
        "qformer": _QFORMER,
    },
    "qformer": {"type": "QFormerNeck", "num_cameras": 6, "num_queries": 3, "qformer": _QFORMER},
}
DECODERS = {
    "plain": {"type": "TransformerMapDecoder", "embed_dims": 16, "num_layers": 1, "num_heads": 2},
    "llm": {
        "type": "LLMMapDecoder",
        "frozen": True,
        "prompt": "Draw.",
        "architecture": {
            "model_type": "llama",
            "vocab_size": 259,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
        },
    },
}


def tiny_model(
    neck: str = "bev", decoder: str = "plain", layers: int = 2, points: bool = False, seeds: bool = False
) -> dict:
    queries = {"type": "InstanceMapQueries", "num_instances": 6}
    if points:
        queries = {"type": "PointMapQueries", "num_instances": 6, "num_points": 8}
    if seeds:
        queries["scene"] = {"seed_points": 2, "octaves": 2}
    return {
        "type": "MapLLaVA",
        "data_preprocessor": {"type": "MapDataPreprocessor"},
        "vision_encoder": {
            "type": "ConvVisionEncoder",
            "channels": [4, 8, 8],
            "blocks": [0, 1, 1],
            "embed_dims": 8,
            "out_stage": 1,
        },
        "neck": NECKS[neck],
        "map_queries": queries,
        "decoder": DECODERS[decoder],
        "head": {
            "type": "VectorMapHead",
            "num_points": 8,
            "num_layers": layers,
            "max_predictions": 9,
            "criterion": {
                "type": "MapCriterion",
                "assigner": {
                    "type": "HungarianMapAssigner",
                    "costs": [{"type": "FocalClassCost"}, {"type": "OrderedPointsL1Cost"}],
                },
                "losses": {
                    "cls": {"type": "FocalClassLoss"},
                    "pts": {"type": "PointsL1Loss"},
                    "dir": {"type": "DirectionCosineLoss"},
                },
            },
            "layer": {
                "type": "RefinementLayer",
                "embed_dims": 16,
                "point_dims": 8,
                "num_heads": 2,
                "ffn_dims": 16,
                "num_samples": 2,
                "num_frequencies": 3,
            },
        },
    }


def tiny_config(root: Path, caches: dict[str, Path], **model) -> Config:
    def loader(split: str) -> dict:
        steps = [
            {"type": "LoadMultiViewImages", "size": [96, 54]},
            {"type": "PackMapInputs"},
        ]
        data = {"type": "NuScenesMapDataset", "data_root": str(root), "ann_file": str(caches[split])}
        return {
            "batch_size": 3,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "dataset": {**data, "pipeline": steps},
        }

    cfg = {
        "default_scope": "mapllava",
        "map_spec": SPEC,
        "data_root": str(root),
        "model": tiny_model(**model),
        "train_dataloader": loader("train"),
        "val_dataloader": loader("val"),
        "test_dataloader": loader("val"),
        "val_evaluator": {"type": "VectorMapMetric", "protocol": "strict"},
        "test_evaluator": {"type": "VectorMapMetric", "protocol": "strict"},
    }
    return resolve(Config(cfg))


def write_run(folder: Path, cfg: Config) -> Path:
    """config.json and best_model.pth with random weights, moves included (they start at zero)."""
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(folder / "config.json")
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for move in (model.head.point_branch, *(layer.point_branch for layer in model.head.layers)):
        torch.nn.init.normal_(move[-1].weight, std=0.1)
    checkpoint = folder / "best_model.pth"
    torch.save({"meta": {"epoch": 7, "map_spec": SPEC}, "state_dict": model.state_dict()}, checkpoint)
    return checkpoint
