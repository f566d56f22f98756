"""What does the language model add? One head, neck and budget; the map decoder changes. And: who understands?

Drawing: the encoders are a trained model's, frozen, and their BEV maps are computed once. Scene tokens,
queries, decoder and head train anew for --steps x --batch samples of the city. Asking: a parser of requests
learns from --pairs sentences, the small one from four times as many, which takes no longer. Runs that are
finished are read, not repeated. From the repository's root::

    python tools/get_language_model.py smollm2
    python benchmarks/language_model.py --out benchmarks/results/language_model.json
    python benchmarks/language_model.py --task drawing --only plain smollm2 --seeds 1 --steps 40
    python benchmarks/language_model.py --task asking --seeds 1

Intervals are Student's t over seeds; a difference is taken seed by seed against the first arm of the table.
Seconds are those of one core (CPU time), so that a busy machine does not show.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cached_bev import cache_path, write_features
from common import finish, parser, show_table
from rich.console import Console
from rich.progress import Progress
from seeds import interval, show

from mapllava.cli.exit_status import exit_status
from mapllava.config.options import read_options
from mapllava.config.read import load_config
from mapllava.config.resolve import resolve
from mapllava.errors import MapLLaVAError
from mapllava.files import atomic_write, read_json, read_json_object
from mapllava.published import command_for, default_folder

DECODER, PARSER = "model.decoder", "model.language_model"
FOLDER = default_folder("smollm2")


@dataclass(frozen=True)
class Arm:
    """One row of a table.

    Args:
        config: What it trains.
        options: ``--cfg-options`` of it.
        pretrained: Whether it has the language model's weights: ``""`` no, ``"as it is"`` or ``"shuffled"``.
        times: How many times the others' sentences it learns from: a small model reads more in the same time.
    """

    config: str
    options: tuple[str, ...] = ()
    pretrained: str = ""
    times: int = 1


# LoRA's rank is below the smallest matrix that Muon takes, so that AdamW trains it
LORA = (f"{DECODER}.lora.rank=8", f"{DECODER}.lora.alpha=16", f"{DECODER}.lora.targets=all-linear")
WIDE = (f"{DECODER}.embed_dims=576", f"{DECODER}.num_heads=9")
DRAWING = {
    "plain": Arm("stage2/synthetic_no_llm"),
    "plain-wide": Arm("stage2/synthetic_no_llm", WIDE),
    "llama-scratch": Arm("stage2/synthetic", (f"{DECODER}.scale=embeddings",)),  # as those below
    "smollm2-shuffled": Arm("stage2/synthetic_smollm2", pretrained="shuffled"),
    "smollm2": Arm("stage2/synthetic_smollm2", pretrained="as it is"),
    "smollm2-lora": Arm("stage2/synthetic_smollm2", LORA, "as it is"),
}
ASKING = {
    "llama-scratch": Arm("language/ask_synthetic", times=4),
    "smollm2-shuffled-lora": Arm("language/ask_smollm2", pretrained="shuffled"),
    "smollm2-lora": Arm("language/ask_smollm2", pretrained="as it is"),
}
COLUMNS = {
    "drawing": {
        "mAP": "mAP",
        "d0": "d0",
        "zero_tokens": "zero tokens leave",
        "queries_vary": "queries vary, %",
        "seconds_per_step": "s a step",
    },
    "asking": {
        "en_templates": "unseen wording",
        "en_train": "known wording",
        "en_words": "unseen words",
        "zh_templates": "unseen Chinese wording",
        "zh_words": "unseen Chinese words",
    },
}


def parse_args() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__)
    add = made.add_argument
    add("--task", choices=["drawing", "asking", "both"], default="both")
    add("--only", nargs="+", metavar="ARM", choices=sorted({*DRAWING, *ASKING}), help="these arms alone")
    add("--seeds", type=int, default=3, help="seeds 0, 1, … (default: %(default)s)")
    add("--steps", type=int, default=160, help="of a drawing run (default: %(default)s)")
    add("--batch", type=int, default=8, help="samples a step (default: %(default)s)")
    add("--pairs", type=int, default=2400, help="sentences of an asking run (default: %(default)s)")
    add("--jobs", type=int, default=2, help="runs at a time, each on one core (default: %(default)s)")
    add("--model", type=Path, default=Path("mapllava/demo/model.pth"), help="gives the frozen encoders")
    add("--language-model", type=Path, default=FOLDER, help="its folder (default: %(default)s)")
    add("--work-dir", type=Path, default=Path("outputs/language_model"), help="runs and BEV maps")
    add("--cfg-options", nargs="+", default=[], help="handed on to every drawing run")
    return made.parse_args()


def shuffled(folder: Path, out: Path, seed: int) -> Path:
    """A copy of a model's folder in which every tensor holds its own numbers in a random order."""
    import torch
    from safetensors.torch import load_file, save_file

    if out.is_dir():
        return out
    order = torch.Generator().manual_seed(seed)
    with atomic_write(out) as partial:
        shutil.copytree(folder, partial)
        tensors = load_file(partial / "model.safetensors")
        mixed = {
            name: value.flatten()[torch.randperm(value.numel(), generator=order)].view_as(value).contiguous()
            for name, value in tensors.items()
        }
        save_file(mixed, partial / "model.safetensors", {"format": "pt"})
    return out


def options_of(arm: Arm, part: str, seed: int, args: argparse.Namespace) -> list[str]:
    """``--cfg-options`` of a run of an arm."""
    options = list(arm.options)
    if not arm.pretrained:
        return options
    if not args.language_model.is_dir():
        how = command_for(args.language_model) or command_for(FOLDER)
        raise MapLLaVAError(f"--language-model {args.language_model}: no such folder; {how} makes {FOLDER}")
    folder = args.language_model
    if arm.pretrained == "shuffled":
        folder = shuffled(folder, args.work_dir / f"shuffled_seed{seed}", seed)
    return [*options, f"{part}.pretrained={folder}"]


def draw(arm: Arm, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Figures of one drawing run, which is made if it is not there."""
    options = [*options_of(arm, DECODER, seed, args), *args.cfg_options]
    cfg = resolve(load_config(arm.config, read_options(options), []))
    told = repr([cfg.model.to_dict(), cfg.optim_wrapper, args.features.name, args.steps, args.batch])
    name = f"{arm.config}_{args.steps}x{args.batch}_{hashlib.sha256(told.encode()).hexdigest()[:10]}"
    out = args.work_dir / "drawing" / f"{name.replace('/', '_')}_seed{seed}.json"
    if not out.is_file():
        run = ["benchmarks/map_decoder_run.py", arm.config, "--features", args.features, "--out", out]
        budget = ["--seed", seed, "--steps", args.steps, "--batch", args.batch]
        launch([*run, *budget, *(["--cfg-options", *options] if options else [])], out.with_suffix(".log"))
    return read_json_object(out)


def ask(arm: Arm, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Shares of sentences of each part understood by one parser, which is trained if it is not there."""
    budget = [f"train_dataloader.dataset.count={args.pairs * arm.times}", "train_cfg.max_epochs=1"]
    options = [*options_of(arm, PARSER, seed, args), *budget, "train_cfg.val_interval=1"]
    options.append(f"randomness.seed={seed}")
    told = hashlib.sha256(repr(options).encode()).hexdigest()[:10]
    folder = args.work_dir / "asking" / f"{arm.config.replace('/', '_')}_{told}_seed{seed}"
    if not (folder / "final_model.pth").is_file():
        run = ["tools/train.py", arm.config, "--work-dir", folder, "--cfg-options", *options]
        launch(run, folder.with_suffix(".log"))
    metrics = next(
        each["metrics"] for each in reversed(read_json(folder / "metrics.json")) if each["stage"] == "val"
    )
    return {wording: 100 * metrics[f"exact_wording_{wording}"] for wording in COLUMNS["asking"]}


def launch(command: Sequence[Any], log: Path) -> None:
    """Run a script on one core.

    Raises:
        MapLLaVAError: If it fails; names the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    with log.open("w") as text:
        done = subprocess.run(
            [sys.executable, *map(str, command)], stdout=text, stderr=text, env=env, check=False
        )
    if done.returncode:
        raise MapLLaVAError(f"{' '.join(map(str, command[:2]))} ended with {done.returncode}: see {log}")


def measure(
    task: str, arms: dict[str, Arm], run: Callable[..., dict[str, float]], args: argparse.Namespace
) -> dict[str, Any]:
    """All runs of a task, its table, and its figures."""
    pairs = [(seed, name) for seed in range(args.seeds) for name in arms]  # an early stop is still fair
    with Progress(console=Console(stderr=True)) as progress, ThreadPoolExecutor(args.jobs) as pool:
        bar = progress.add_task(f"{task} runs", total=len(pairs))
        futures = {(seed, name): pool.submit(run, arms[name], seed, args) for seed, name in pairs}
        for future in futures.values():
            future.add_done_callback(lambda _: progress.advance(bar))
        try:
            wait(futures.values(), return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what has not begun would take hours
        found = {pair: future.result() for pair, future in futures.items() if not future.cancelled()}
    first, main = next(iter(arms)), next(iter(COLUMNS[task]))
    rows, result = [], {}
    for name in arms:
        figures = {}
        for column in COLUMNS[task]:
            values = [found[seed, name][column] for seed in range(args.seeds)]
            mean, half = interval(values)
            figures[column] = {"values": [round(v, 3) for v in values], "mean": mean, "half_width_95": half}
        gaps = [found[seed, name][main] - found[seed, first][main] for seed in range(args.seeds)]
        gap, gap_half = interval(gaps)
        figures["difference_to_first"] = {"mean": gap, "half_width_95": gap_half}
        shown = [show(figures[column]["mean"], figures[column]["half_width_95"]) for column in COLUMNS[task]]
        rows.append([name, *shown, "" if name == first else show(gap, gap_half, "+")])
        result[name] = {"config": arms[name].config, "options": list(arms[name].options), **figures}
        result[name]["pretrained"] = arms[name].pretrained
    columns = [task, *COLUMNS[task].values(), f"{main} against {first}"]
    show_table(f"{task}, {args.seeds} seeds, mean ± 95 %", columns, rows)
    return result


def main() -> None:
    """Run, compare, print, and perhaps write."""
    args = parse_args()
    result: dict[str, Any] = {"seeds": args.seeds}
    if args.task != "asking":
        cfg = resolve(load_config("stage2/synthetic", read_options(args.cfg_options), []))
        args.features = cache_path(args.work_dir, args.model, cfg)
        if not args.features.is_file():
            write_features(args.features, args.model, cfg)
        budget = {"steps": args.steps, "batch": args.batch, "model": str(args.model)}
        result["drawing"] = {**budget, "arms": measure("drawing", chosen(DRAWING, args), draw, args)}
    if args.task != "drawing":
        result["asking"] = {"pairs": args.pairs, "arms": measure("asking", chosen(ASKING, args), ask, args)}
    finish(args.out, json.loads(json.dumps(result).replace("NaN", "null")), "torch", "transformers", "peft")


def chosen(arms: dict[str, Arm], args: argparse.Namespace) -> dict[str, Arm]:
    """The arms that are asked for."""
    return {name: arm for name, arm in arms.items() if args.only is None or name in args.only}


if __name__ == "__main__":
    raise SystemExit(exit_status(main))
