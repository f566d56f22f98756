"""Linear probes: what a ridge or logistic regression reads off frozen features, on samples it never saw.

Shapes: n samples, d features, r <= n directions that the features span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

FOLDS = 5
INNER_FOLDS = 3
STRENGTHS: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Penalties that are tried, in units of the features' mean squared length."""

Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


def span(features: np.ndarray) -> np.ndarray:
    """Coordinates (n, r) of features (n, d) in the directions that they span, of mean length 1.

    Regressions with an L2 penalty give the same predictions on either; with more features than
    samples this is far smaller. No label is looked at.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = np.maximum(values, 0.0), vectors
    keep = values > 1e-10 * max(values[-1], 1e-300)
    if not keep.any():
        return np.zeros((len(features), 1))
    return vectors[:, keep] * np.sqrt(values[keep] / values.sum() * len(features))


def folds(groups: Sequence[Any], count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Split samples so that a group is never on both sides.

    Args:
        groups: (n,) for instance the scene of each sample: its samples resemble each other.
        count: Folds; as many as there are groups where those are fewer.
        seed: Of the order of the groups.

    Yields:
        Indices to fit on and indices held out; every sample is held out once.
    """
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    size = int(number.max()) + 1
    fold_of_group = np.empty(size, dtype=int)
    fold_of_group[np.random.default_rng(seed).permutation(size)] = np.arange(size) % min(count, size)
    fold = fold_of_group[number]
    for index in range(int(fold.max()) + 1):
        yield np.flatnonzero(fold != index), np.flatnonzero(fold == index)


def ridge(x: np.ndarray, y: np.ndarray, x_new: np.ndarray, strength: float) -> np.ndarray:
    """Fit a ridge regression with an intercept on (n, r) and (n,), predict (m, r)."""
    mean_x, mean_y = x.mean(axis=0), y.mean()
    centred = x - mean_x
    gram = centred.T @ centred + strength * len(x) * np.eye(x.shape[1])
    return mean_y + (x_new - mean_x) @ np.linalg.solve(gram, centred.T @ (y - mean_y))


def logistic(x: np.ndarray, y: np.ndarray, x_new: np.ndarray, strength: float) -> np.ndarray:
    """Fit a logistic regression with an intercept on (n, r) and (n,) of 0 and 1, probabilities of (m, r)."""
    sign = 2.0 * y - 1.0

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ weights[1:] + weights[0])
        slope = -sign * expit(-margin) / len(x)
        penalty = strength * weights[1:]
        gradient = np.concatenate([[slope.sum()], x.T @ slope + penalty])
        return float(np.logaddexp(0, -margin).mean() + 0.5 * penalty @ weights[1:]), gradient

    weights = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return expit(x_new @ weights[1:] + weights[0])


def probe_count(x: np.ndarray, counts: np.ndarray, groups: Sequence[Any], seed: int = 0) -> dict[str, Any]:
    """Ridge regression of a number.

    Args:
        x: (n, r) features, of :func:`span`.
        counts: (n,) numbers to read off.
        groups: (n,) what may not be on both sides of a split.
        seed: Of the splits.

    Returns:
        ``r2``, held out, against predicting the mean of the samples fitted on: 1 is perfect, 0 and
        below is nothing; None where the numbers do not vary or there is one group only.
    """
    y = counts.astype(np.float64)
    if len(set(groups)) < 2 or np.ptp(y) == 0:
        return {"r2": None}
    guess, plain = _held_out(ridge, x, y, groups, seed)
    spread = np.square(y - plain).sum()
    return {"r2": float(1.0 - np.square(y - guess).sum() / spread)}


def probe_presence(
    x: np.ndarray, present: np.ndarray, groups: Sequence[Any], seed: int = 0
) -> dict[str, Any]:
    """Logistic regression of a yes or no.

    Args:
        x: (n, r) features, of :func:`span`.
        present: (n,) bool.
        groups: (n,) what may not be on both sides of a split.
        seed: Of the splits.

    Returns:
        ``accuracy``, held out, None where all answers are the same or there is one group only;
        ``majority``, held-out accuracy of the answer that is more frequent among the samples
        fitted on; ``share`` of yes.
    """
    y = present.astype(np.float64)
    out: dict[str, Any] = {"accuracy": None, "majority": None, "share": float(y.mean())}
    if len(set(groups)) < 2 or np.ptp(y) == 0:
        return out
    guess, plain = _held_out(logistic, x, y, groups, seed)
    out["accuracy"] = float(((guess >= 0.5) == (y == 1)).mean())
    out["majority"] = float(((plain >= 0.5) == (y == 1)).mean())
    return out


def _held_out(
    fit: Fit, x: np.ndarray, y: np.ndarray, groups: Sequence[Any], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (n,) of every sample by a fit without its fold, and the means of those fits' labels."""
    names = np.asarray(groups)
    guess, plain = np.empty_like(y), np.empty_like(y)
    for train, held in folds(names.tolist(), FOLDS, seed):
        strength = _choose(fit, x[train], y[train], names[train], seed)
        guess[held] = fit(x[train], y[train], x[held], strength)
        plain[held] = y[train].mean()
    return guess, plain


def _choose(fit: Fit, x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int) -> float:
    """The penalty of the least squared error on folds within the samples fitted on."""
    if len(np.unique(groups)) < 2:
        return STRENGTHS[-1]
    errors = np.zeros(len(STRENGTHS))
    for train, held in folds(groups.tolist(), INNER_FOLDS, seed + 1):
        for index, strength in enumerate(STRENGTHS):
            errors[index] += np.square(fit(x[train], y[train], x[held], strength) - y[held]).sum()
    return STRENGTHS[int(errors.argmin())]
