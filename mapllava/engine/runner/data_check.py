"""Says before a run starts which data are missing, and how to get them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mapllava.config.resolve import DATALOADERS, accepts, leaf_datasets
from mapllava.errors import MapLLaVAError
from mapllava.gt_cache.schema import rebuild_command
from mapllava.registry import DATASETS, TRANSFORMS, find
from mapllava.structures.frames import MapSpec


def check_data(cfg: Config, dataloaders: Sequence[str] = DATALOADERS) -> None:
    """Look for the data root and the GT cache of every data set, and at the transforms on them.

    Args:
        cfg: A config that :func:`mapllava.config.resolve.resolve` has seen.
        dataloaders: The dataloaders that the run will use.

    Raises:
        MapLLaVAError: If a data root is not there (says where it was looked for, how to get it and
            what runs without it), or a GT cache (says the command that makes it); or if a transform cannot
            serve the map specification.
    """
    for name in dataloaders:
        for where, dataset in leaf_datasets(cfg, name):
            root = dataset.get("data_root")
            if root and not Path(root).is_dir():
                raise MapLLaVAError(_no_data_root(where, str(root)))
            _check_cache(where, dataset)
    check_transforms(cfg, dataloaders)


def check_transforms(cfg: Config, dataloaders: Sequence[str] = DATALOADERS) -> None:
    """Ask the transforms of every pipeline that can tell whether they serve the map specification.

    Raises:
        MapLLaVAError: If one cannot; see ``check_map_spec`` of the transforms.
    """
    spec = MapSpec.from_config(dict(cfg.map_spec))
    for name in dataloaders:
        for _, dataset in leaf_datasets(cfg, name):
            for step in dataset.get("pipeline") or []:
                kind = find(TRANSFORMS, step.get("type"))
                if hasattr(kind, "check_map_spec"):
                    TRANSFORMS.build(step).check_map_spec(spec)


def check_validation(cfg: Config) -> None:
    """Make sure that training will validate, unless the config says plainly that it must not.

    Raises:
        MapLLaVAError: If only some of ``val_dataloader``, ``val_cfg`` and ``val_evaluator`` are set.
    """
    parts = {key: cfg.get(key) for key in ("val_dataloader", "val_cfg", "val_evaluator")}
    missing = [key for key, value in parts.items() if value is None]
    if missing and len(missing) < len(parts):
        raise MapLLaVAError(
            f"{', '.join(missing)} not set though {', '.join(set(parts) - set(missing))} is: set all "
            "three, or all three to None to train without validation (and so without best_model.pth)"
        )


def _check_cache(where: str, dataset: dict) -> None:
    """Only data sets on a GT cache take a map specification; others look after themselves."""
    if not accepts(dataset.get("type"), "map_spec") or not dataset.get("ann_file"):
        return
    path = Path(DATASETS.build({**dataset, "pipeline": [], "lazy_init": True}).ann_file)
    if not path.is_file():
        spec = MapSpec.from_config(dict(dataset["map_spec"]))
        raise MapLLaVAError(
            f"GT cache '{path}' ({where}) is missing; make it first:\n    {rebuild_command(path, spec=spec)}"
        )


def _no_data_root(where: str, root: str) -> str:
    looked = Path(root).expanduser().absolute()
    city = (
        "    make demo          # makes a city and its GT caches, trains and tests\n"
        "  or by hand (the demo's sizes):\n"
        "    python tools/create_synthetic_nuscenes.py data/synthetic --version v1.0-trainval \\\n"
        "        --scenes-train 110 --scenes-val 10 --samples-per-scene 20 --image-size 384x216\n"
        "    python tools/create_gt_cache.py --dataroot data/synthetic --version v1.0-trainval --split all\n"
        "    python tools/train.py configs/stage2/synthetic.py"
    )
    if "synthetic" in root:
        return f"no synthetic city at {looked} ({where}.data_root). Make it:\n{city}"
    return (
        f"nuScenes was looked for at {looked} ({where}.data_root) and is not there.\n"
        "  Get it: register at https://www.nuscenes.org/nuscenes#download, fetch v1.0-mini (4 GB) or\n"
        "  trainval and the map expansion v1.3, unpack both: the folder holds v1.0-mini/, maps/, samples/.\n"
        "  It lies elsewhere: link it,   ln -s /path/to/nuscenes data/nuscenes\n"
        "  Without it, the synthetic city runs now:\n"
        f"{city}"
    )
