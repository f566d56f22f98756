"""What a resumed run may change in its config: each key takes effect, must be equal, or is harmless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mapllava.checkpoint.plain_state import plain_config
from mapllava.config.resolve import ASKED_FOR
from mapllava.config.trusted import config_in
from mapllava.config.walk import at
from mapllava.engine.optim.accumulation import count_updates
from mapllava.errors import MapLLaVAError
from mapllava.registry import SCOPE

EQUAL, EFFECT, HARMLESS = "must be equal", "takes effect", "harmless"

_HOW_DATA_ARE_READ = (
    *("num_workers", "persistent_workers", "prefetch_factor", "pin_memory*", "timeout"),
    *("data_root", "ann_file"),  # data are compared by their fingerprint and number
    "map_spec",  # the top-level one is compared
)
_OF_A_STEP = ("lr", "weight_decay", "betas", "eps", "momentum", "dampening", "nesterov", "muon")

RULES = (  # the first whose pattern fits a key, or one above it, decides; * stands for any keys
    ("model.*pretrained", HARMLESS),  # what lies there is compared with what the checkpoint says of it
    ("model.decoder.tokenizer", HARMLESS),  # as are the ids that it makes of the prompt
    ("model.*gradient_checkpointing", HARMLESS),
    ("model", EQUAL),
    ("map_spec", EQUAL),
    ("train_dataloader.batch_size", EFFECT),
    *((f"train_dataloader.*{key}", HARMLESS) for key in _HOW_DATA_ARE_READ),
    ("train_dataloader.*pipeline", EFFECT),
    ("train_dataloader", EQUAL),
    ("train_cfg.type", EQUAL),
    ("train_cfg", EFFECT),
    ("randomness.deterministic", HARMLESS),
    ("randomness", EQUAL),
    *((f"optim_wrapper.optimizer.{key}", EFFECT) for key in _OF_A_STEP),
    ("optim_wrapper.paramwise_cfg.*_mult", EFFECT),
    ("optim_wrapper.dtype", EFFECT),
    ("optim_wrapper.clip_grad", EFFECT),
    ("optim_wrapper.accumulative_counts", EFFECT),
    ("optim_wrapper", EQUAL),
    ("param_scheduler", EFFECT),
    ("schedule_unit", EFFECT),  # of an earlier version, whose schedules counted batches
    ("auto_scale_lr", EFFECT),
    ("sync_bn", EFFECT),
    ("hooks.LoggerHook", HARMLESS),
    ("hooks.MapVisualizationHook", HARMLESS),
    ("hooks", EFFECT),
    *((key, HARMLESS) for key in ("val_*", "test_*", "env_cfg", "launcher", "model_wrapper_cfg", "log_*")),
    *((key, HARMLESS) for key in ("visualizer", "work_dir", "load_from", "resume", "experiment_name")),
    *((key, HARMLESS) for key in ("run_name", "default_scope", "data_root", "compile")),
    *((key, HARMLESS) for key in ("find_unused_parameters", "activation_checkpointing", "filename")),
    ("*", EFFECT),  # nothing else comes from the checkpoint: what the config says is what is built
)
OF_SCHEDULES = (
    "optim_wrapper.optimizer",
    "optim_wrapper.paramwise_cfg",
    "optim_wrapper.accumulative_counts",
    "param_scheduler",
    "schedule_unit",
    "auto_scale_lr",
    "train_cfg.max_*",
    "train_dataloader.batch_size",
)
"""Where a difference gives the learning rates, or another value of the optimiser's groups, anew."""

_LOOPS = {"EpochBasedTrainLoop": "MapTrainLoop", "IterBasedTrainLoop": "MapIterTrainLoop"}


@dataclass(frozen=True)
class Change:
    """A key of the config whose value is another than the checkpoint's.

    Attributes:
        key: Dotted path; hooks stand under ``hooks``, by their type.
        then: The checkpoint's value, None where it is not set.
        now: The config's.
        verdict: ``EQUAL``, ``EFFECT`` or ``HARMLESS``.
    """

    key: str
    then: Any
    now: Any
    verdict: str

    def __str__(self) -> str:
        """For instance ``train_cfg.max_epochs: 2 then, 4 now``."""
        return f"{self.key}: {_short(self.then)} then, {_short(self.now)} now"

    @property
    def of_schedules(self) -> bool:
        """Whether it gives the optimiser's groups other values."""
        return any(fits(self.key, pattern) for pattern in OF_SCHEDULES)


def check_resume(
    cfg: Config, meta: Mapping[str, Any], source: str | Path, dataset: Any = None
) -> list[Change] | None:
    """Compare a config with the one that a checkpoint was trained with.

    Args:
        cfg: The config of the run that goes on, resolved.
        meta: The checkpoint's ``meta``.
        source: The checkpoint, for the message.
        dataset: The training data set, where it is built already; it is compared, too.

    Returns:
        The differences that are no hindrance; None where the checkpoint has no config.

    Raises:
        MapLLaVAError: If there are others; lists all, with both values.
    """
    now = plain_config(cfg.to_dict())
    then = config_in(meta, str(source))
    found = [] if then is None else list(changes(then, now))
    found += [*_left(meta, now), *_data(meta, dataset)]
    refused = [change for change in found if change.verdict == EQUAL]
    if refused:
        others = [change for change in found if change.verdict != EQUAL]
        also = "\nAlso different, and no hindrance:" + _lines(others) if others else ""
        raise MapLLaVAError(
            f"'{source}' cannot go on with this config, these values must be the former ones:"
            f"{_lines(refused)}{also}\nSet them back (--cfg-options KEY=VALUE, --seed N; the run folder's "
            "config.json has all), or start a new run from its weights, without --resume: "
            f"--cfg-options load_from={source}"
        )
    return found if then is not None else None


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """All differences of two configs.

    Args:
        then: The checkpoint's config, plain values.
        now: The new one, plain values.
    """
    for key, left, right in _differences(_comparable(then), _comparable(now), ""):
        if left is not None or not _is_filled_in(key, right, now):  # an older version did not write it
            yield Change(key, left, right, verdict(key))


def verdict(key: str) -> str:
    """What becomes of a difference in a key, by ``RULES``."""
    return next(found for pattern, found in RULES if fits(key, pattern))


def fits(key: str, pattern: str) -> bool:
    """Whether a dotted key is what a pattern names, or lies below it."""
    return fnmatchcase(key, pattern) or fnmatchcase(key, f"{pattern}.*")


def _is_filled_in(key: str, value: Any, config: Mapping[str, Any]) -> bool:
    """Whether a part's value is the one that ``resolve`` copies into it; a value of its own is not."""
    source = ASKED_FOR.get(key.rpartition(".")[2])
    if source is None or key in ASKED_FOR.values():
        return False
    return not any(_differences(at(config, source), value, key))


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with its hooks by type, and with one spelling where MMEngine has several."""
    found = {key: value for key, value in config.items() if key not in ("custom_hooks", "default_hooks")}
    loop = dict(found.get("train_cfg") or {})
    by_epoch = loop.pop("by_epoch", None)
    kind = loop.get("type", "IterBasedTrainLoop" if by_epoch is False else "EpochBasedTrainLoop")
    loop["type"] = _LOOPS.get(kind, kind)
    schedules = found.get("param_scheduler") or []
    randomness = found.get("randomness") or {}
    found.update(
        randomness={**randomness, "seed": randomness.get("seed") or 0},
        train_cfg=loop,
        param_scheduler=[schedules] if isinstance(schedules, Mapping) else schedules,
        optim_wrapper={"type": "OptimWrapper", **(found.get("optim_wrapper") or {})},
        hooks=_hooks(config),
    )
    return found


def _hooks(config: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in ("default_hooks", "custom_hooks"):
        hooks = config.get(part) or {}
        for hook in hooks.values() if isinstance(hooks, Mapping) else hooks:
            if isinstance(hook, Mapping):
                name = str(hook.get("type")).removeprefix(f"{SCOPE}.")
                count = sum(key.partition(" ")[0] == name for key in found)
                found[f"{name} {count + 1}" if count else name] = hook
    return found


def _differences(then: Any, now: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ; components of two types are not compared any further."""
    then, now = _plain_type(then), _plain_type(now)
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        kinds = [each.get("type") for each in (then, now)]
        if key and kinds[0] != kinds[1] and None not in kinds:
            yield f"{key}.type", kinds[0], kinds[1]
            return
        for name in dict.fromkeys([*then, *now]):
            yield from _differences(then.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif _is_list(then) and _is_list(now) and len(then) == len(now):
        for index, (left, right) in enumerate(zip(then, now, strict=True)):
            yield from _differences(left, right, f"{key}.{index}")
    elif (list(then) if _is_list(then) else then) != (list(now) if _is_list(now) else now):
        yield key, then, now


def _left(meta: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """A run that would end before the checkpoint does."""
    loop = now.get("train_cfg") or {}
    begun = int(meta.get("epoch", 0)) + (int(meta.get("batch", 0)) > 0)
    made = count_updates(int(meta.get("iter", 0)), now.get("optim_wrapper"))
    for key, behind in (("max_epochs", begun), ("max_iters", made)):
        if loop.get(key) is not None and int(loop[key]) < behind:
            yield Change(f"train_cfg.{key}", f"{behind} begun", loop[key], EQUAL)


def _data(meta: Mapping[str, Any], dataset: Any) -> Iterator[Change]:
    """Other samples than those that the checkpoint has part of an epoch, or epochs, of behind it."""
    if dataset is None:
        return
    now = {
        "samples": len(dataset),
        "fingerprint": dict(getattr(dataset, "metainfo", None) or {}).get("fingerprint"),
    }
    then = {
        "samples": meta.get("samples"),
        "fingerprint": (meta.get("dataset_meta") or {}).get("fingerprint"),
    }
    for key in now:
        if then[key] is not None and then[key] != now[key]:
            yield Change(f"training data, {key}", then[key], now[key], EQUAL)


def _plain_type(value: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        return {**value, "type": value["type"].removeprefix(f"{SCOPE}.")}
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _lines(found: Sequence[Change]) -> str:
    return "".join(f"\n  {change}" for change in found)


def _short(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        return str(value.get("type") or f"dict({', '.join(map(str, value))})")
    if _is_list(value):
        return f"[{', '.join(_short(entry) for entry in value)}]"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
