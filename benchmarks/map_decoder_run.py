"""One run of benchmarks/language_model.py: a map decoder and all around it, trained on cached BEV maps.

Scene tokens, queries, decoder and head train; the encoders do not. It writes its figures to a JSON file::

    python benchmarks/map_decoder_run.py stage2/synthetic --features FEATURES.pt --seed 0 --out run.json
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from cached_bev import Features, cached, read_features
from torch import Tensor

from mapllava.analysis.diagnosis.spectrum import TokenSpectrum
from mapllava.checkpoint import count_parameters, start_weights
from mapllava.cli.command_line import config_of
from mapllava.cli.exit_status import exit_status
from mapllava.config.options import OptionsAction
from mapllava.config.resolve import resolve
from mapllava.engine.optim.weight_average import WeightAverage
from mapllava.errors import MapLLaVAError
from mapllava.evaluation import evaluate_maps
from mapllava.evaluation.functional import get_protocol
from mapllava.evaluation.scoring import PairedMaps, prepare_ground_truth
from mapllava.files import write_json
from mapllava.progress import progress_bar
from mapllava.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from mapllava.structures.map_data_sample import to_numpy


def parse_args() -> argparse.Namespace:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("config", help="config of the arm")
    made.add_argument("--features", type=Path, required=True, help="made by benchmarks/language_model.py")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--steps", type=int, default=160)
    made.add_argument("--warmup", type=int, default=20, help="steps of linear warm-up before the cosine")
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--cfg-options", nargs="+", action=OptionsAction, default=None)
    made.set_defaults(plugins=[])
    return made.parse_args()


def train(model: Any, cfg: Any, features: Features, args: argparse.Namespace) -> tuple[float, WeightAverage]:
    """Train a model; CPU seconds of a step (median), and the average of its weights."""
    wrapper = dict(cfg.optim_wrapper)
    paramwise = wrapper.pop("paramwise_cfg", None)
    kind = wrapper.pop("constructor")
    made = {"type": kind, "optim_wrapper_cfg": wrapper, "paramwise_cfg": paramwise}
    optim = OPTIM_WRAPPER_CONSTRUCTORS.build(made)(model)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optim.optimizer,
        lambda step: min(1.0, (step + 1) / args.warmup) * (1 + math.cos(math.pi * step / args.steps)) / 2,
    )
    average = WeightAverage(cfg.default_hooks.ema.decay, warmup=10)
    average.start(model)
    count = len(features.samples)
    order = torch.Generator().manual_seed(args.seed)  # the same for every arm
    rounds = [torch.randperm(count, generator=order) for _ in range(1 + args.steps * args.batch // count)]
    chosen = torch.cat(rounds)[: args.steps * args.batch].view(args.steps, args.batch)
    seconds = []
    model.train()
    with progress_bar(f"{args.config} seed {args.seed}", args.steps, True) as advance:
        for rows in chosen:
            start = time.process_time()
            with optim.optim_context(model):
                losses = model(*features.batch(rows), mode="loss")
                # the segmentation of a frozen BEV map is a constant
                loss = torch.stack([value for value in losses.values() if value.requires_grad]).sum()
            optim.update_params(loss)
            if optim.nonfinite is not None:
                raise MapLLaVAError(f"{args.config}, seed {args.seed}: {optim.nonfinite} is not finite")
            rate.step()
            average.update()
            seconds.append(time.process_time() - start)
            advance(1)
    return statistics.median(seconds), average


@torch.no_grad()
def evaluate(model: Any, features: Features, batch: int, protocol: str) -> dict[str, float]:
    """mAP of the last and the first layer and with zero scene tokens, in percent; how queries vary."""
    rules = get_protocol(protocol, None)
    predictions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    decoded: list[Tensor] = []
    spectrum = TokenSpectrum("decoded queries")
    hook = model.decoder.register_forward_hook(lambda _, __, hidden: decoded.append(hidden))
    model.eval()
    with progress_bar("held-out samples", len(features.samples), True) as advance:
        for start in range(0, len(features.samples), batch):
            inputs, samples = features.batch(range(start, min(start + batch, len(features.samples))))
            out = model.extract_features(inputs)
            logits, points = model.decode(out)
            spectrum.update(model.map_queries.split(decoded[-1])[0])
            decoded.clear()
            zero = model.decode(replace(out, scene_tokens=torch.zeros_like(out.scene_tokens)))
            tokens = [str(sample.sample_token) for sample in samples]
            layers = {"mAP": (logits, points), "d0": (logits[:1], points[:1]), "zero_tokens": zero}
            for name, layer in layers.items():
                for token, found in zip(tokens, model.head.predict(*layer), strict=True):
                    arrays = {key: to_numpy(found[key]) for key in ("points", "labels", "scores")}
                    predictions[name].append({"sample_token": token, **arrays})
            advance(len(samples))
    hook.remove()
    metas = [sample.metainfo for sample in features.samples]
    truth = [prepare_ground_truth(meta["polylines"], rules, str(meta["sample_token"])) for meta in metas]
    scenes = [str(meta.get("scene_name", "")) for meta in metas]

    def score(found: Sequence[dict[str, Any]]) -> float:
        maps = PairedMaps(model.map_spec, "val", rules, found, truth, scenes)
        return 100 * float(evaluate_maps(maps, "benchmark", num_draws=None).score["mAP"])

    scores = {name: score(found) for name, found in predictions.items()}
    return {**scores, "queries_vary": 100 * (spectrum.result()["varies_with_input"] or 0.0)}


def main() -> None:
    """Train, evaluate, write."""
    args = parse_args()
    cfg = resolve(config_of(args))
    features = read_features(args.features)
    torch.manual_seed(args.seed)
    model: Any = MODELS.build(cached(cfg.model))
    start_weights(model)
    start = time.perf_counter()
    per_step, average = train(model, cfg, features["train"], args)
    with average.swapped(model):
        found = evaluate(model, features["val"], args.batch, cfg.val_evaluator.protocol)
    total, trained = count_parameters(model)
    figures = {"seconds_per_step": per_step, "seconds": time.perf_counter() - start,
               "parameters": total, "trained": trained}  # fmt: skip
    write_json(args.out, {**found, **figures, "steps": args.steps, "batch": args.batch})


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
