"""What the tools say to bad input: every case is given to its tool, and the message is shown.

PYTHONPATH=. python tests/faults/bad_inputs.py           # the table, as Markdown
PYTHONPATH=. python tests/faults/bad_inputs.py --check   # 1 if a message is not as promised
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import runpy
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "engine"), str(ROOT / "tests" / "faults")]

from test_files import flip_a_bit_of_a_weight, make_hostile, truncate  # noqa: E402
from toy import toy_config  # noqa: E402

from mapllava import gt_cache  # noqa: E402
from mapllava.engine import build_runner  # noqa: E402
from mapllava.gt_cache.store import seal  # noqa: E402
from mapllava.synthetic import create_city  # noqa: E402

CITY = {"version": "v1.0-mini", "num_train_scenes": 2, "num_val_scenes": 1, "samples_per_scene": 2}
_NAMES = itertools.count()
_HOSTILE = b"cos\nsystem\n(S'touch /tmp/evil'\ntR."


@dataclass(frozen=True)
class Case:
    """A bad input.

    Attributes:
        group: config, flag, data, cache, image, weights, checkpoint or results.
        what: what is wrong, in words.
        command: the tool and its arguments, made in a world.
        words: what the message must hold: the file, key or value, and the remedy.
    """

    group: str
    what: str
    command: Callable[[World], list]
    words: tuple[str, ...]


class World:
    """A folder with a tiny city, its caches, a toy config and a trained toy; cases damage copies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.city = folder / "city"
        create_city(self.city, **CITY, image_size=(160, 90), workers=1, progress=False)
        self.caches = {s: gt_cache.build(self.city, CITY["version"], s, folder) for s in ("train", "val")}
        build_runner(toy_config(folder / "run", epochs=1)).train()
        self.checkpoint = folder / "run" / "checkpoint_epoch_1.pth"
        self.results = self.write("results.json", '{"meta": {}, "results": ')

    def write(self, name: str, text: str | bytes) -> Path:
        """A file of the case's own."""
        path = self.folder / f"{next(_NAMES)}" / name
        path.parent.mkdir()
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def damaged(self, path: Path, damage: Callable[[Path], object]) -> Path:
        """A damaged copy of a file."""
        copy = self.write(path.name, path.read_bytes())
        damage(copy)
        return copy

    def toy(self, **changes: object) -> list:
        """Train the toy with a changed config; a key may have dots, None removes it."""
        cfg = toy_config(self.folder / f"work_{next(_NAMES)}", epochs=1)
        for key, value in changes.items():
            cfg.merge_from_dict({key.replace("__", "."): value})
        return ["train", self.dump(cfg)]

    def dump(self, cfg: Config) -> Path:
        path = self.write("config.py", "")
        cfg.dump(path)
        return path

    def map(self, root: Path | None = None, caches: dict[str, Path] | None = None, **changes: object) -> list:
        """Train the demo's model on the city."""
        cfg = Config.fromfile(ROOT / "configs" / "stage2" / "synthetic.py")
        for name, split in (("train", "train"), ("val", "val"), ("test", "val")):
            loader = cfg[f"{name}_dataloader"]
            loader.update(batch_size=1, num_workers=0, persistent_workers=False)
            loader.dataset.update(
                data_root=str(root or self.city), ann_file=str({**self.caches, **(caches or {})}[split])
            )
        cfg.merge_from_dict({key.replace("__", "."): value for key, value in changes.items()})
        return ["train", self.dump(cfg), "--work-dir", self.folder / f"work_{next(_NAMES)}"]

    def cut_city(self, change: Callable[[Path], object]) -> Path:
        """A copy of the city, changed."""
        copy = self.folder / f"city_{next(_NAMES)}"
        shutil.copytree(self.city, copy)
        change(copy)
        return copy


def _images(change: Callable[[Path], object]) -> Callable[[World], list]:
    def command(world: World) -> list:
        return world.map(
            world.cut_city(lambda root: [change(p) for p in root.glob("samples/CAM_FRONT/*.jpg")])
        )

    return command


def _table(name: str, text: str | None) -> Callable[[World], list]:
    def change(root: Path) -> None:
        path = root / "v1.0-mini" / name
        path.unlink() if text is None else path.write_text(text)

    def command(world: World) -> list:
        out = world.folder / f"out_{next(_NAMES)}"
        root = world.cut_city(change)
        return ["create_gt_cache", "--dataroot", root, "--split", "val", "--quiet", "--out-dir", out]

    return command


def _cache(damage: Callable[[Path], object]) -> Callable[[World], list]:
    return lambda world: world.map(caches={"train": world.damaged(world.caches["train"], damage)})


def _test(damage: Callable[[Path], object]) -> Callable[[World], list]:
    return lambda world: ["test", world.toy()[1], world.damaged(world.checkpoint, damage)]


def _change_checkpoint(change: Callable[[dict], object]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)

    return damage


def _gt(*options: object) -> Callable[[World], list]:
    return lambda world: ["create_gt_cache", "--dataroot", world.city, "--quiet", *options]


CASES = [
    Case("flag", "config that is not there", lambda w: ["train", "configs/none.py"], ("configs/none.py", "mapllava has")),  # noqa: E501
    Case("flag", "mistyped option", lambda w: [*w.toy(), "--resmue"], ("--resmue", "usage:")),
    Case("flag", "unknown launcher", lambda w: [*w.toy(), "--launcher", "foo"], ("foo", "choose from")),
    Case("flag", "--launcher pytorch without torchrun", lambda w: [*w.toy(), "--launcher", "pytorch"], ("launcher 'pytorch'", "tools/dist_train.sh")),  # noqa: E501
    Case("flag", "plug-in that is not there", lambda w: [*w.toy(), "--plugins", "no_such_module"], ("no_such_module", "PYTHONPATH")),  # noqa: E501
    Case("flag", "plug-in with an error", lambda w: [*w.toy(), "--plugins", w.write("plugin.py", "1 / 0")], ("plugin.py", "ZeroDivisionError")),  # noqa: E501
    Case("flag", "--resume of a missing file", lambda w: [*w.toy(), "--resume", "none.pth"], ("none.pth", "--resume auto")),  # noqa: E501
    Case("flag", "--auto-scale-lr without its base", lambda w: [*w.toy(), "--auto-scale-lr"], ("--auto-scale-lr", "base_batch_size")),  # noqa: E501
    Case("flag", "--cfg-options beyond a list", lambda w: [*w.toy(), "--cfg-options", "train_dataloader.dataset.pipeline.7.type=A"], ("--cfg-options", "7")),  # noqa: E501
    Case("flag", "load_from that is not there", lambda w: [*w.toy(), "--cfg-options", "load_from=none.pth"], ("none.pth", "load_from=PATH")),  # noqa: E501
    Case("flag", "test without a checkpoint", lambda w: ["test", w.toy()[1]], ("CHECKPOINT is missing", "mapllava test")),  # noqa: E501
    Case("flag", "unknown ablation", lambda w: ["test", w.toy()[1], w.checkpoint, "--ablate", "all"], ("--ablate", "choose from")),  # noqa: E501
    Case("config", "syntax error", lambda w: ["train", w.write("broken.py", "model = dict(\n")], ("broken.py' cannot be read", "SyntaxError")),  # noqa: E501
    Case("config", "undefined name", lambda w: ["train", w.write("broken.py", "model = modle\n")], ("broken.py' cannot be read", "modle")),  # noqa: E501
    Case("config", "missing _base_", lambda w: ["train", w.write("broken.py", "_base_ = ['none.py']\n")], ("broken.py' cannot be read", "none.py")),  # noqa: E501
    Case("config", "half of a validation", lambda w: [*w.toy(), "--cfg-options", "val_cfg=None"], ("val_cfg not set", "set all three")),  # noqa: E501
    Case("config", "unregistered model", lambda w: w.toy(model={"type": "ToyModle", "_delete_": True}), ("ToyModle", "did you mean 'ToyModel'")),  # noqa: E501
    Case("config", "mistyped argument", lambda w: w.toy(model__frozn=True), ("ToyModel has no argument 'frozn'", "did you mean 'frozen'")),  # noqa: E501
    Case("config", "component without type", lambda w: w.toy(model={"frozen": True, "_delete_": True}), ("has no 'type'", "frozen")),  # noqa: E501
    Case("config", "unknown optimiser", lambda w: w.toy(optim_wrapper__optimizer__type="AdamX"), ("AdamX", "did you mean")),  # noqa: E501
    Case("config", "optimiser's argument", lambda w: w.toy(optim_wrapper__optimizer__learning_rate=1.0), ("learning_rate", "AdamW")),  # noqa: E501
    Case("config", "negative learning rate", lambda w: w.toy(optim_wrapper__optimizer__lr=-1.0), ("AdamW", "-1.0")),  # noqa: E501
    Case("config", "unknown hook", lambda w: w.toy(custom_hooks=[{"type": "EMAHok"}]), ("EMAHok", "did you mean")),  # noqa: E501
    Case("config", "unknown precision", lambda w: w.toy(optim_wrapper__dtype="float8"), ("float8", "bfloat16")),  # noqa: E501
    Case("config", "unknown runner", lambda w: w.toy(runner_type="Runer"), ("Runer", "did you mean")),
    Case("config", "unknown transform", lambda w: w.toy(train_dataloader__dataset__pipeline=[{"type": "ToyNoize"}]), ("ToyNoize", "did you mean 'ToyNoise'")),  # noqa: E501
    Case("config", "unknown data set", lambda w: w.toy(train_dataloader__dataset__type="ToyDataSet"), ("ToyDataSet", "did you mean 'ToyDataset'")),  # noqa: E501
    Case("config", "unknown schedule", lambda w: w.toy(param_scheduler=[{"type": "Cosine"}]), ("Cosine", "regist")),  # noqa: E501
    Case("config", "batch of 0", lambda w: w.toy(train_dataloader__batch_size=0), ("batch_size", "0")),
    Case("config", "keeps no checkpoint", lambda w: w.toy(default_hooks__checkpoint__max_keep=0), ("max_keep=0", ">= 1")),  # noqa: E501
    Case("config", "metric that validation lacks", lambda w: w.toy(default_hooks__checkpoint__metric="mAPP"), ("mAPP", "set RunCheckpointHook's metric")),  # noqa: E501
    Case("config", "ROI inside out", lambda w: w.map(map_spec__roi=[15.0, -30.0, -15.0, 30.0]), ("roi", "[x_min, y_min, x_max, y_max]")),  # noqa: E501
    Case("config", "ROI of three numbers", lambda w: w.map(map_spec__roi=[15.0, -30.0, -15.0]), ("roi", "four numbers")),  # noqa: E501
    Case("config", "unknown frame", lambda w: w.map(map_spec__frame="world"), ("world", "lidar")),
    Case("config", "class twice", lambda w: w.map(map_spec__classes=["divider", "divider"]), ("classes", "distinct")),  # noqa: E501
    Case("config", "unknown key of map_spec", lambda w: w.map(map_spec__range=1), ("map_spec", "range")),
    Case("config", "EMA out of range", lambda w: w.toy(custom_hooks=[{"type": "SafeCheckpointHook"}, {"type": "WarmupEMAHook", "decay": 2.0}]), ("decay=2.0", "0 < decay < 1")),  # noqa: E501
    Case("data", "no data root", lambda w: w.map(root=w.folder / "none_synthetic"), ("none_synthetic", "mapllava city")),  # noqa: E501
    Case("data", "cache of a missing data root", lambda w: ["create_gt_cache", "--dataroot", w.folder / "none"], ("none", "dataroot")),  # noqa: E501
    Case("data", "version that is not there", _gt("--version", "v9"), ("v9", "v1.0-mini")),
    Case("data", "split that is not there", _gt("--split", "trian"), ("trian", "train")),
    Case("data", "ROI as words", _gt("--roi", "wide"), ("wide", "60x30")),
    Case("data", "table cut short", _table("sample.json", "[{"), ("sample.json",)),
    Case("data", "table missing", _table("scene.json", None), ("scene.json",)),
    Case("cache", "missing", lambda w: w.map(caches={"val": w.folder / "none.pkl"}), ("none.pkl", "mapllava cache create")),  # noqa: E501
    Case("cache", "cut short", _cache(truncate), ("gt_cache", "mapllava cache create")),
    Case("cache", "text", _cache(lambda p: p.write_text("hello")), ("gt_cache", "mapllava cache create")),
    Case("cache", "hostile pickle", _cache(lambda p: p.write_bytes(_HOSTILE + seal(_HOSTILE))), ("system", "mapllava cache create")),  # noqa: E501
    Case("cache", "of another ROI", lambda w: w.map(map_spec__roi=[-10.0, -20.0, 10.0, 20.0]), ("roi", "mapllava cache create")),  # noqa: E501
    Case("image", "missing", _images(lambda p: p.unlink()), ("CAM_FRONT", "set data_root")),
    Case("image", "cut short", _images(truncate), ("CAM_FRONT", "cut short")),
    Case("image", "text", _images(lambda p: p.write_text("no image")), ("CAM_FRONT", "copy it again")),
    Case("image", "empty", _images(lambda p: p.write_bytes(b"")), ("CAM_FRONT", "copy it again")),
    Case("weights", "folder that is not there", lambda w: w.map(model__decoder__pretrained=str(w.folder / "none"), model__decoder__architecture=None), ("none",)),  # noqa: E501
    Case("checkpoint", "missing", lambda w: ["test", w.toy()[1], "none.pth"], ("none.pth", "is not there")),
    Case("checkpoint", "cut short", _test(truncate), ("checkpoint_epoch_1.pth", "copy it again")),
    Case("checkpoint", "a flipped bit", _test(flip_a_bit_of_a_weight), ("checksum", "copy it again")),
    Case("checkpoint", "hostile pickle", _test(make_hostile), ("nothing in it was run", "copy it again")),
    Case("checkpoint", "empty", _test(lambda p: p.write_bytes(b"")), ("checkpoint_epoch_1.pth", "copy it again")),  # noqa: E501
    Case("checkpoint", "lacks a weight", _test(_change_checkpoint(lambda c: c["state_dict"].pop("base.weight"))), ("base.weight",)),  # noqa: E501
    Case("checkpoint", "weight of another shape", _test(_change_checkpoint(lambda c: c["state_dict"].update({"head.weight": torch.zeros(2, 8)}))), ("head.weight", "(2, 8)")),  # noqa: E501
    Case("checkpoint", "of other classes", _test(_change_checkpoint(lambda c: c["meta"]["map_spec"].update(classes=["car"]))), ("map_spec.classes", "train anew")),  # noqa: E501
    Case("checkpoint", "resumed without optimiser", lambda w: [*w.toy(), "--resume", w.folder / "run" / "best_model.pth"], ("best_model.pth", "load_from=FILE")),  # noqa: E501
    Case("checkpoint", "exported to a folder in use", lambda w: ["convert_checkpoint", "to-hf", w.checkpoint, w.folder], ("folder",)),  # noqa: E501
    Case("results", "missing", lambda w: ["eval_results", "none.json", "--cache", w.caches["val"]], ("none.json", "cannot be read")),  # noqa: E501
    Case("results", "no JSON", lambda w: ["eval_results", w.results, "--cache", w.caches["val"]], ("results.json",)),  # noqa: E501
    Case("results", "unknown protocol", lambda w: ["eval_results", w.write("r.json", "{}"), "--cache", w.caches["val"], "--protocol", "maptrr"], ("maptr",)),  # noqa: E501
    Case("results", "three files", lambda w: ["eval_results", "a", "b", "c", "--cache", w.caches["val"]], ("3 results files", "give one, or two")),  # noqa: E501
]  # fmt: skip


def message(case: Case, world: World) -> tuple[object, str]:
    """Exit status and stderr of a case; an escaped exception is status None and its traceback."""
    tool, *arguments = map(str, case.command(world))
    if tool in ("train", "test") and "--plugins" not in arguments:
        arguments += ["--plugins", "toy"]
    errors, argv, folder = io.StringIO(), sys.argv, Path.cwd()
    sys.argv = [tool, *arguments]
    os.chdir(ROOT)
    status: object = None
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(str(ROOT / "tools" / f"{tool}.py"), run_name="__main__")
    except SystemExit as ended:
        status = ended.code
    except Exception:
        errors.write(traceback.format_exc())
    finally:
        sys.argv = argv
        os.chdir(folder)
    return status, errors.getvalue().replace(str(world.folder), "…").replace(str(ROOT) + "/", "")


def faults(case: Case, status: object, text: str) -> list[str]:
    """What is not as promised."""
    found = [] if status in (1, 2) else [f"exit status {status}"]
    found += ["a traceback"] if "Traceback" in text else []
    return found + [f"the message lacks '{word}'" for word in case.words if word not in text]


def shown(text: str) -> str:
    """The message's own lines, for a cell of the table."""
    lines = text.strip().splitlines()
    starts = [i for i, line in enumerate(lines) if "error: " in line] or [max(len(lines) - 1, 0)]
    return "<br>".join(lines[starts[-1] :])[:600].replace("|", "\\|")


def main(argv: list[str] | None = None) -> int:
    """Print the table; with ``--check``, 1 if a message is not as promised."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit status 1 if a message is not as promised")
    parser.add_argument("--only", metavar="WORD", default="", help="cases whose group or title has this word")
    args = parser.parse_args(argv)
    folder, bad = Path(tempfile.mkdtemp(prefix="bad_inputs_")), 0
    world = World(folder)
    sys.stdout.write("| | input | status | message |\n|---|---|---|---|\n")
    for case in [case for case in CASES if args.only in f"{case.group} {case.what}"]:
        status, text = message(case, world)
        problems = faults(case, status, text)
        bad += bool(problems)
        note = f" **({'; '.join(problems)})**" if problems else ""
        sys.stdout.write(f"| {case.group} | {case.what} | {status} | {shown(text)}{note} |\n")
    shutil.rmtree(folder)
    sys.stderr.write(f"{len(CASES)} cases, {bad} not as promised\n")
    return int(args.check and bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
