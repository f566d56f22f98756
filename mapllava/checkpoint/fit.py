"""Whether a state dict fits a model: every key accounted for, or an error that lists them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from torch import Tensor

from mapllava.errors import MapLLaVAError

_SHOWN = 12


def is_below(name: str, root: str) -> bool:
    """Whether a dotted name is a module's or of something in it; an empty root is the whole model."""
    return not root or name == root or name.startswith(f"{root}.")


def check_fit(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    elsewhere: Collection[str],
    allow_missing: Sequence[str] = (),
    allow_unexpected: Sequence[str] = (),
) -> None:
    """Compare a file's tensors with a model's.

    Args:
        state: the file's.
        expected: the model's.
        elsewhere: keys that the model has from its base weights, so that the file need not.
        allow_missing: module paths that the file may lack.
        allow_unexpected: module paths of the file that may have no place in the model.

    Raises:
        MapLLaVAError: if keys are missing or unexpected, or shapes differ; lists them.
    """
    missing = _outside((key for key in expected if key not in state and key not in elsewhere), allow_missing)
    unexpected = _outside((key for key in state if key not in expected), allow_unexpected)
    shapes = [
        f"{key}: {tuple(state[key].shape)} in the file, {tuple(value.shape)} in the model"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    problems = {
        "missing in the file": missing,
        "in the file but not in the model": unexpected,
        "of another shape": shapes,
    }
    if any(problems.values()):
        raise MapLLaVAError(
            f"the checkpoint does not fit the model; is it another config's?\n{listing(problems)}"
        )


def listing(problems: Mapping[str, Sequence[str]]) -> str:
    """A line per kind of problem with how many there are, and the first of them."""
    return "\n".join(
        f"  {len(entries)} {what}: {', '.join(entries[:_SHOWN])}"
        + (f" … and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else "")
        for what, entries in problems.items()
        if entries
    )


def _outside(keys: Iterable[str], prefixes: Sequence[str]) -> list[str]:
    return [key for key in keys if not any(is_below(key, prefix) for prefix in prefixes)]
