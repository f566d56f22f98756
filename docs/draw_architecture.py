#!/usr/bin/env python3
"""Draw docs/images/architecture.svg: a config's way from cameras to lines, with the shapes of its tensors.

Nothing in the figure is written by hand but its layout: the model is built on the meta device (no weights, no
memory), run once, and every box names the class that ran and what came out of it.

  python docs/draw_architecture.py
  python docs/draw_architecture.py configs/stage2/synthetic.py --out /tmp/synthetic.svg
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mapllava.analysis.cost import SampleShape, build_meta, example_batch  # noqa: E402
from mapllava.config.read import load_config  # noqa: E402
from mapllava.config.resolve import resolve  # noqa: E402
from mapllava.files import atomic_write  # noqa: E402

Box = tuple[str, str, str]
"""Title, class (or classes), what comes out."""
GAP = 0.3
COLOURS = ("#e8f1e4", "#e3ecf7", "#f9eee0")


def shape_of(value: Any) -> str:
    """A tensor's sizes as ``6 x 3 x 224``; ``none`` of what is not there."""
    return " x ".join(map(str, value.shape)) if isinstance(value, Tensor) else "none"


def data_boxes(cfg: Config) -> Iterator[Box]:
    """From ground truth to a batch."""
    dataset = cfg.train_dataloader.dataset
    yield "GT cache", "mapllava.gt_cache", "polylines in metres"
    yield "data set", dataset.type, "sample: paths, matrices, polylines"
    yield "transforms", "\n".join(step["type"] for step in dataset.pipeline), "inputs, data_samples"


@torch.no_grad()
def model_boxes(cfg: Config, batch_size: int = 1) -> Iterator[Box]:
    """From a batch to lines, as a run on the meta device gives it."""
    model = build_meta(cfg.model).eval()
    batch = example_batch(SampleShape.from_config(cfg), batch_size)
    inputs = {"img": torch.stack(batch["inputs"]["img"]).float().to("meta")}
    matrices = [torch.as_tensor(sample.lidar2img) for sample in batch["data_samples"]]
    inputs["lidar2img"] = torch.stack(matrices).float().to("meta")
    seen: dict[str, Any] = {}
    parts = ("vision_encoder", "neck", "map_queries", "decoder", "head")
    for name in parts:
        getattr(model, name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.__setitem__(name, output)
        )
    model(inputs, batch["data_samples"])
    kinds = {name: type(getattr(model, name)).__name__ for name in parts}
    yield "data preprocessor", type(model.data_preprocessor).__name__, f"images {shape_of(inputs['img'])}"
    yield "vision encoder", kinds["vision_encoder"], f"patch features {shape_of(seen['vision_encoder'])}"
    neck = seen["neck"]
    tokens = f"scene tokens {shape_of(neck.scene_tokens)}\nBEV map {shape_of(neck.bev)}"
    yield "neck", kinds["neck"], tokens
    queries = f"query tokens {shape_of(seen['map_queries'])}\ndecoded queries {shape_of(seen['decoder'])}"
    yield "map queries and decoder", f"{kinds['map_queries']}\n{kinds['decoder']}", queries
    logits, points = seen["head"]
    yield "head", kinds["head"], f"class logits {shape_of(logits)}\npoints {shape_of(points)}"


def result_boxes(cfg: Config) -> Iterator[Box]:
    """What is made of the head's predictions."""
    names = [loss["type"] for loss in cfg.model.head.criterion.losses.values() if loss]
    names += [f"{cfg.model.neck.type}: BEV {name}" for name in cfg.model.neck.get("loss_bev") or ()]
    yield "losses", "\n".join(names), "gradients"
    evaluator = cfg.val_evaluator
    yield "metric", (evaluator[0] if isinstance(evaluator, list) else evaluator).type, "mAP"


def boxes_of(config: str | Path) -> list[list[Box]]:
    """The figure's three columns: data, model, results."""
    cfg = resolve(load_config(config))
    return [list(data_boxes(cfg)), list(model_boxes(cfg)), list(result_boxes(cfg))]


def draw(columns: list[list[Box]], title: str) -> bytes:
    """The figure as SVG, its texts as text."""
    import io

    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    def height(box: Box) -> float:
        return 0.55 + 0.19 * sum(text.count("\n") + 1 for text in box[1:])

    depth = max(sum(height(box) + GAP for box in column) for column in columns)
    style = {"svg.fonttype": "none", "svg.hashsalt": "mapllava", "font.family": "sans-serif"}
    arrow = {"arrowstyle": "-|>", "color": "#445"}
    with matplotlib.rc_context(style):
        figure, axes = plt.subplots(figsize=(12, depth + 0.4))
        axes.set(xlim=(0, 3), ylim=(-depth, 0))
        axes.axis("off")
        axes.set_title(title, loc="left", fontsize=12)
        last = 0.0
        for place, (column, colour) in enumerate(zip(columns, COLOURS, strict=True)):
            top = 0.0
            if place:  # from the foot of the column before to the head of this one
                bend = dict(arrow, connectionstyle="arc3,rad=0.0")
                axes.annotate("", (place + 0.04, -0.3), (place - 0.04, last + 0.3), arrowprops=bend)
            for name, kind, out in column:
                size = height((name, kind, out))
                corner, left = (place + 0.04, top - size), place + 0.08
                axes.add_patch(plt.Rectangle(corner, 0.92, size, facecolor=colour, edgecolor="#667"))
                axes.text(left, top - 0.2, name, fontsize=11, weight="bold", va="center")
                axes.text(left, top - 0.38, kind, fontsize=8, family="monospace", va="top")
                axes.text(left, top - size + 0.08, f"→ {out}", fontsize=9, va="bottom")
                if top and place < 2:  # losses and metric both read the head
                    axes.annotate("", (place + 0.5, top), (place + 0.5, top + GAP), arrowprops=arrow)
                last, top = top - size, top - size - GAP
        target = io.BytesIO()
        figure.savefig(target, format="svg", bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
    return target.getvalue()


def main() -> int:
    """Draw; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", type=Path, default=ROOT / "configs/stage2/trainval.py")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/architecture.svg")
    args = parser.parse_args()
    title = f"{args.config.parent.name}/{args.config.name}, one sample"
    with atomic_write(args.out) as path:
        path.write_bytes(draw(boxes_of(args.config), title))
    sys.stdout.write(f"{args.out}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
