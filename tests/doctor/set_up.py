"""A set-up to examine: a tiny city with its caches and a config that trains on it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mapllava.doctor import Context, Finding, examine
from mapllava.doctor.examination import select

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ["{root}/configs/stage2/synthetic.py"]
train = dict(data_root="{city}", ann_file="gt_cache/gt_cache_v1.0-mini_train.pkl")
val = dict(data_root="{city}", ann_file="gt_cache/gt_cache_v1.0-mini_val.pkl")
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=train)
val_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=val)
test_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=val)
model = dict(head=dict(num_layers=1), map_queries=dict(num_instances=20))
train_cfg = dict(max_epochs=40)
auto_scale_lr = dict(base_batch_size=2)
"""


@dataclass
class SetUp:
    """A data root and a config on it; ``report`` examines it."""

    root: Path
    config: Path

    def report(self, *only: str, options=(), plugins=(), samples: int = 4) -> dict[str, Finding]:
        """Findings by name of the checks or groups named."""
        context = Context(str(self.config), options, plugins, samples)
        return {finding.name: finding for _, finding in examine(context, select(True, only))}

    def append(self, text: str) -> None:
        """Add lines to the config."""
        self.config.write_text(f"{self.config.read_text()}{text}\n")


def make_set_up(folder: Path, city: Path, city_cache: dict[str, Path]) -> SetUp:
    """A good one, of one's own to break.

    Args:
        folder: an empty one, where it is made.
        city: the tests' city, which is copied.
        city_cache: its caches, likewise.
    """
    root = folder / "city"
    shutil.copytree(city, root)
    (root / "gt_cache").mkdir(exist_ok=True)
    for path in city_cache.values():
        shutil.copy2(path, root / "gt_cache" / path.name)
    config = folder / "config.py"
    config.write_text(CONFIG.format(root=ROOT.as_posix(), city=root.as_posix()))
    return SetUp(root, config)
