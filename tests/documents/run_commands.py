#!/usr/bin/env python3
"""Run the commands of README.md and docs/en for real, with small sizes, in a copy of the checkout.

A tiny city stands in for nuScenes, tiny folders in Hugging Face's layout for weights, a training of a few
steps for outputs/RUN. SMALL turns a document's command into one that runs there; SKIPPED says why one does
not run. A command that needs neither runs as it stands. Quick commands come first.

  python tests/documents/run_commands.py
  python tests/documents/run_commands.py --only docs/en/data.md --folder /tmp/commands
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from mapllava import gt_cache
from mapllava.evaluation import MapResults, save_results
from mapllava.structures import MapSpec
from tests.documents.blocks import ROOT, Command, all_commands, blocks
from tests.documents.recipes import RECIPES, write_own_data

SIZES = "--scenes-train 4 --scenes-val 2 --samples-per-scene 2 --image-size 320x180"
DEMO = "DEMO_TRAIN_SCENES=4 DEMO_VAL_SCENES=2 DEMO_SAMPLES=2 DEMO_IMAGE_SIZE=320x180"
CACHES = "data/synthetic/gt_cache/gt_cache_v1.0-trainval"
MODEL = "outputs/RUN/best_model.pth"
FULL = (
    "model.neck.cell=5.0 model.neck.tokens.stride=[3,3] model.head.num_layers=2 train_cfg.max_epochs=1 "
    "train_dataloader.num_workers=1 val_dataloader.num_workers=1 test_dataloader.num_workers=1"
)
WEIGHTS = (
    "model.decoder.pretrained=weights/vicuna-7b-v1.5 model.vision_encoder.pretrained=weights/blip2-opt-2.7b "
    "model.neck.qformer.pretrained=weights/blip2-opt-2.7b"
)
TRAIN = r"(?:python tools/train\.py|mapllava train)"
FULL_SIZE = r"configs/stage2/(?:mini|trainval)\.py"

# What stands in for a document's sizes and placeholders: pattern, replacement; in this order.
SMALL: list[tuple[str, str]] = [
    (r" \[[^\]]+\]", ""),  # [--option …] in a table
    (
        r"--scenes-train 110 --scenes-val 10 --samples-per-scene 20 --image-size 384x216",
        f"{SIZES} --workers 1",
    ),
    (r"^(python tools/create_synthetic_nuscenes.py data/synthetic)$", rf"\1_mini {SIZES} --workers 1"),
    (r"^make demo( DEMO_TRAIN_SCENES=30 DEMO_VAL_SCENES=5)?", f"make demo {DEMO}"),
    (rf"^({TRAIN} {FULL_SIZE} --cfg-options)(?=.*pretrained=)", rf"\1 {FULL}"),
    (
        rf"^({TRAIN} {FULL_SIZE})(?!.*pretrained=)( --cfg-options)?",
        rf"\1 --cfg-options {FULL} {WEIGHTS}",
    ),
    (r"^((?:[A-Z_]+=\S+ )*)bash tools/dist_train.sh (\S+) 8", r"\1bash tools/dist_train.sh \2 2"),
    (rf"(dist_train.sh {FULL_SIZE} 2)$", rf"\1 --cfg-options {FULL} {WEIGHTS}"),
    (r"^(mapllava doctor configs/stage2/mini\.py)$", rf"\1 --cfg-options {FULL} {WEIGHTS}"),
    (r"NNODES=2", "NNODES=1"),
    (r"MASTER_ADDR=\S+ (MASTER_)?PORT=29500", "MASTER_ADDR=127.0.0.1 MASTER_PORT={port}"),
    (r" --device cuda:1$", ""),
    (r"--workers 8", "--workers 2"),
    (r"configs/stage2/synthetic\{\S+ --seeds 5", "configs/stage2/synthetic{,_no_llm}.py --seeds 2"),
    (r"^(python benchmarks/model.py CONFIG --batch) .*", r"\1 1"),
    (r"^(python benchmarks/pipeline.py)$", r"\1 --rounds 1"),
    (r"^(python benchmarks/metric.py)$", r"\1 --samples 8 --rounds 1"),
    (r"^(python benchmarks/cache_scale.py .*) --workers 0 1 4", r"\1 --workers 0 1 --samples 20"),
    (r"^(python benchmarks/gt_cache.py)$", r"\1 --scenes 4 --samples 4 --naive 2"),
    (r"tensorboard --logdir", "tensorboard --inspect --logdir"),  # looks and ends; without, it serves
    (r"^(python tools/doctor.py \S+synthetic.py)(?= # exit status 1)", r"PYTHONPATH=broken:$PYTHONPATH \1"),
    (r"(--only data) --cfg-options data_root=data/city", r"\1 --cfg-options data_root=data/changed"),
    (r"(--only data step) --cfg-options data_root=data/city", r"\1 --cfg-options data_root=data/cut"),
    (r"data_root=/data/city", "data_root=data/synthetic"),
    (r"outputs/RUN(?=\S+ exported_merged)", "outputs/LORA"),
    (r"=/weights/", "=weights/"),
    (r"/tmp/diagnosis", "diagnosis"),
    (r"outputs/(map_detection_stage2_2026\d+_\d+|…)/", "outputs/RUN/"),
    (r"(?<![\w/])(OTHER_RUN|RUN)(?=[ /]|$)", r"outputs/\1"),
    (r"\bdiff CACHE OTHER", f"diff {CACHES}_val.pkl {CACHES}_val.pkl"),
    (r"\b(CACHE_TRAIN\.pkl|TRAIN_CACHE|(?<!/)gt_cache_v1\.0-trainval_train\.pkl)", f"{CACHES}_train.pkl"),
    (
        r"\b(CACHE_VAL\.pkl|VAL_CACHE|CACHE|(?<!/)gt_cache_v1\.0-trainval_val\.pkl)(?= |$)",
        f"{CACHES}_val.pkl",
    ),
    (r"^mapllava COMMAND", "mapllava train"),
    (r"\bmy_car\b", "mapllava/demo/sample"),
    (r"\bCONFIG\b", "configs/stage2/synthetic.py"),
    (r"\bCHECKPOINT\b", MODEL),
    (r"\bRESULTS\b", "run.results.json"),
    (r"\bother\.results\.json\b", "old.json"),
    (r"\bFOLDER\b", "folder"),
    (r"\bDIR\b", "drawn"),
    (r"--per-kind 100", "--per-kind 6"),
    (
        r"^(mapllava train language/ask_synthetic)",
        r"\1 --cfg-options train_dataloader.dataset.count=64 val_dataloader.dataset.count=4",
    ),
    (r"(city data/small .*)--samples-per-scene 10", r"\1--samples-per-scene 2 --workers 1"),
    (r" --scenes scene-0003 scene-0012", " --scenes scene-0003"),
    (r"(city data/city_av2 .*)-val 10( .*)-scene 20", r"\1-val 1\2-scene 2 --workers 1"),
]
SKIPPED: list[tuple[str, str]] = [
    (r"^(pip|python -m venv|make venv|make demo BASE_PYTHON)", "installs; .ci/run makes an environment"),
    (r"^make (test|docs)", "the tests themselves, the website; .ci/run runs them"),
    (r"tests/faults/bad_inputs", "tests/faults/test_bad_inputs.py runs it"),
    (r"^bash tools/slurm_train.sh", "needs Slurm; tests/tools/test_launchers.py has a stand-in for srun"),
    (r"--device cuda --peak-tflops", "needs a GPU"),
    (
        r"^mapllava (analyze|ask|city|eval|predict --prompt|questions create|test|cache create)$",
        "named in a sentence; others have the rest",
    ),
    (r"^(mapllava get|python tools/get_language_model\.py)", "downloads; tests/cli/test_get.py has it"),
    (
        r"^python benchmarks/language_model\.py",
        "hours; tests/benchmarks has its parts",
    ),
    (r"^python benchmarks/seeds\.py .*--arm", "an hour; tests/benchmarks/test_seeds.py has it"),
    (
        r"^python benchmarks/full_size\.py",
        "a GPU; tests/benchmarks runs it on the tiny model",
    ),
    (r"--parser demo", "needs SmolLM2; tests/apis/test_demo_parser.py has it where that is"),
    (r"outputs/PARSER/", "needs a trained parser; tests/cli/test_ask.py has a stand-in"),
    (r"train language/ask_smollm2", "needs SmolLM2; tests/models/parsers has it where that is"),
    (
        r"--source argoverse2 --dataroot data/argoverse2",
        "needs the data; tests/sources/argoverse2 writes a log",
    ),
    (r"--print-completion", "writes into the home folder; tests/cli/test_completion.py has it"),
]
# What was seen to run; a command of another kind wants a decision first.
RUNS = (
    r"^([A-Z_]+=\S+ )*(make demo|tensorboard|bash tools/dist_train\.sh|"
    r"mapllava (--help|COMMAND --help|analyze|browse|city|configs (copy|list|show)|diagnose|doctor|eval|plan|"
    r"data (check|export)|"
    r"ask|predict|questions (answer|create|score)|report|rig (check|export)|test|train|video|"
    r"cache (audit|constant-map|create|diff|lint|show|verify)|convert (from-hf|geojson|half|results|to-hf))|"
    r"python docs/draw_architecture\.py|"
    r"python benchmarks/(cache_scale|gt_cache|metric|model|pipeline|seeds)\.py|"
    r"python tools/(analyze_run|convert_checkpoint|convert_results|create_gt_cache|create_synthetic_nuscenes|"
    r"diagnose|doctor|eval_results|fit_constant_map|gt_cache|plan|print_config|split_audit|test|train)\.py)"
)
# A second or two each, and no training behind them: the tests run these too.
QUICK = (
    r"^python tools/(gt_cache.py (verify|lint|diff)|eval_results.py|convert_results.py)|"
    r"mapllava (eval|questions|convert results|cache (verify|lint|diff))\b"
)
SLOW = (
    r"^(make|bash|mapllava (train|plan)|[A-Z_]+=|python (benchmarks|tools/(plan|train)))"  # these come last
)


def is_quick(command: Command) -> bool:
    """Whether the tests run it."""
    return re.match(QUICK, command.text) is not None and reason_to_skip(command) is None


def reason_to_skip(command: Command) -> str | None:
    """Why it cannot run here, or None."""
    return next((reason for pattern, reason in SKIPPED if re.search(pattern, command.text)), None)


def small(command: Command) -> str:
    """What runs in the scratch folder."""
    text = command.text + (f" # exit status {command.status}" if command.status else "")
    for pattern, replacement in SMALL:
        text = re.sub(pattern, replacement, text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return text.replace("{port}", str(free.getsockname()[1]))


class Scratch:
    """A copy of the checkout in which the documents' paths exist.

    Args:
        folder: where to make it; one that is there already is taken as it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{folder / '.venv' / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self.env["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nobody answers: nothing is fetched

    def run(self, text: str, timeout: float = 900) -> tuple[int, str]:
        """Exit status (-1: it took too long) and output of a command."""
        process = subprocess.Popen(
            ["bash", "-c", text], cwd=self.folder, env=self.env, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return -1, process.communicate()[0] + f"\nnot done after {timeout:.0f} s"
        return process.returncode, output

    def must(self, text: str) -> None:
        """Run what the documents' commands rest on."""
        status, output = self.run(text)
        if status:
            raise RuntimeError(f"{text}\nexit status {status}\n{output}")

    def make(self) -> None:
        """Checkout, city, caches and a results file: what the quick commands need."""
        listed = ["git", "ls-files", "-co", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(lambda name: (ROOT / name).is_file(), names.splitlines()):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.folder / name)
        (self.folder / ".venv" / "bin").mkdir(parents=True)
        for name, words in (("python", ""), ("mapllava", " -m mapllava")):
            stub = self.folder / ".venv" / "bin" / name
            stub.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
            stub.chmod(0o755)
        (self.folder / ".venv" / ".mapllava-ready").touch()  # make takes this environment
        (self.folder / "broken" / "torch").mkdir(parents=True)
        (self.folder / "broken" / "torch" / "__init__.py").write_text("raise OSError('libcudart.so.13')\n")
        version = "--version v1.0-trainval"
        self.must(f"python tools/create_synthetic_nuscenes.py data/synthetic {version} {SIZES} --workers 1")
        self.must(f"python tools/create_gt_cache.py --dataroot data/synthetic {version} --split all")
        shutil.copytree(self.folder / "data" / "synthetic", self.folder / "data" / "nuscenes")
        self.write_results()
        self.must("cp run.results.json old.json; cp run.results.json new.json")
        self.must(
            "python tools/convert_results.py run.results.json submission_vector.json --to maptracker "
            f"--cache {CACHES}_val.pkl"
        )

    def write_results(self) -> None:
        """The ground truth as a results file: what scores it needs no model."""
        cache = gt_cache.load(self.folder / f"{CACHES}_val.pkl")
        results = {
            entry["sample_token"]: {
                "points": [line["points"] for line in entry["polylines"]],
                "labels": [line["label"] for line in entry["polylines"]],
                "scores": [1.0 for _ in entry["polylines"]],
            }
            for entry in cache["data_list"]
        }
        spec = MapSpec.from_config({key: cache["metainfo"][key] for key in ("frame", "roi", "classes")})
        save_results(self.folder / "run.results.json", MapResults(spec, "val", results, "v1.0-trainval"))

    def make_rest(self) -> None:
        """A trained model, nuScenes' other versions, weights, data with faults, a config with slips."""
        from mapllava.testing import write_tiny_blip2, write_tiny_clip, write_tiny_llama

        self.must("python tools/train.py configs/stage2/synthetic.py --work-dir outputs/RUN")
        shutil.copytree(self.folder / "outputs" / "RUN", self.folder / "outputs" / "OTHER_RUN")
        data = self.folder / "data"
        names = {"mini": "0061 0553 0655 0757 0103 0916", "test": "0002 0018 0019 0036 0043 0046"}
        for version, numbers in names.items():  # the same drives under other names
            tables = data / "nuscenes" / f"v1.0-{version}"
            shutil.copytree(data / "synthetic" / "v1.0-trainval", tables)
            rows = json.loads((tables / "scene.json").read_text())
            for row, number in zip(rows, numbers.split(), strict=True):
                row["name"] = f"scene-{number}"
            (tables / "scene.json").write_text(json.dumps(rows))
        for words in ("v1.0-mini --split all", "v1.0-trainval --split geographic_roddick"):
            self.must(f"python tools/create_gt_cache.py --dataroot data/nuscenes --version {words}")
        write_tiny_llama(self.folder / "weights" / "vicuna-7b-v1.5")
        write_tiny_blip2(self.folder / "weights" / "blip2-opt-2.7b")
        table = shutil.copytree(data / "synthetic", data / "changed") / "v1.0-trainval" / "ego_pose.json"
        table.write_text(table.read_text() + "\n")
        for image in (shutil.copytree(data / "synthetic", data / "cut") / "samples" / "CAM_BACK").iterdir():
            image.write_bytes(image.read_bytes()[:3000])
        for name, text in RECIPES.items():
            (self.folder / f"{name}.py").write_text(
                re.sub(r'"/weights/[^"]+"', '"weights/vicuna-7b-v1.5"', text)
            )
        page = ROOT / "docs" / "en" / "own_city.md"
        (self.folder / "my_city.py").write_text(blocks(page, "python")[0].text)
        encoder = self.folder / "my_encoder.py"
        encoder.write_text(encoder.read_text().replace("weights/vicuna-7b-v1.5", "weights/clip"))
        write_tiny_clip(self.folder / "weights" / "clip")
        write_own_data(data / "mine", data / "synthetic", self.folder / f"{CACHES}_train.pkl")
        lora = "configs/stage2/trainval_lora.py --work-dir outputs/LORA"
        self.must(f"python tools/train.py {lora} --cfg-options {FULL} {WEIGHTS}")
        page = ROOT / "docs" / "en" / "doctor.md"
        slips = next(block for block in blocks(page, "python") if "optim_wraper" in block.text)
        (self.folder / "slips.py").write_text(slips.text)


def chosen(pages: list[str]) -> list[Command]:
    """Commands of these pages (all), quick ones first, nothing twice."""
    found: dict[str, Command] = {}
    for command in all_commands():
        if not pages or command.page in pages:
            found.setdefault(command.text if reason_to_skip(command) else small(command), command)
    return sorted(found.values(), key=lambda c: (not is_quick(c), bool(re.match(SLOW, c.text))))


def say(text: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run them; 1 if one of them does not do what its page says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="PAGE", help="README.md, docs/en/data.md …")
    parser.add_argument("--list", action="store_true", help="show what would run, or why not")
    parser.add_argument("--folder", type=Path, help="make the copy here and keep it; taken if it is there")
    args = parser.parse_args()
    commands = chosen(args.only)
    if args.list:
        for command in commands:
            say(f"{command.where}: {command.text}\n    {reason_to_skip(command) or small(command)}")
        return 0
    folder = args.folder or Path(tempfile.mkdtemp(prefix="commands-"))
    scratch, failed = Scratch(folder.resolve()), []
    try:
        if not (folder / "slips.py").is_file():
            say(f"making {folder} …")
            scratch.make()
            scratch.make_rest()
        for number, command in enumerate(commands, 1):
            start, text = time.monotonic(), small(command)
            head = f"[{number}/{len(commands)}] {command.where}"
            if reason := reason_to_skip(command):
                say(f"{head} skipped ({reason}): {command.text}")
                continue
            status, output = scratch.run(text)
            good = status == command.status
            say(f"{head} {'ok' if good else 'FAILED'} {time.monotonic() - start:.0f} s: {text}")
            if not good:
                failed.append(command.where)
                say("\n".join(f"    {line}" for line in output.splitlines()[-15:]))
                say(f"    exit status {status}, {command.status} expected")
    finally:
        if args.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    say(f"{len(failed)} failed: {', '.join(failed)}" if failed else "all ran as the documents say")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
