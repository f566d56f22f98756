"""Linear probes: what a ridge or logistic regression reads off frozen features, on samples it never saw.

Shapes: n samples, d features, r <= n directions that the features span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

FOLDS = 5
INNER_FOLDS = 3
STRENGTHS = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0])
"""Penalties that are tried, in units of the features' mean squared length."""


def span(features: np.ndarray) -> np.ndarray:
    """Coordinates (n, r) of features (n, d) in the directions that they span, of mean squared length 1.

    Regressions with an L2 penalty give the same predictions on either; with more features than
    samples this is far smaller. No label is looked at.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred @ centred.T)  # (n, n): PCA would hold all (r, d) directions
    keep = values > 1e-10 * max(values[-1], 1e-300)
    if not keep.any():
        return np.zeros((len(features), 1))
    return vectors[:, keep] * np.sqrt(values[keep] / values.sum() * len(features))


def folds(
    groups: Sequence[Any] | np.ndarray, count: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Split samples so that a group is never on both sides; none if there is one group only.

    Args:
        groups: (n,) for instance the scene of each sample: its samples resemble each other.
        count: Folds; as many as there are groups where those are fewer.
        seed: Of the order of the groups.

    Yields:
        Indices to fit on and indices held out; every sample is held out once.
    """
    count = min(count, len(set(groups)))
    if count > 1:
        yield from GroupKFold(count, shuffle=True, random_state=seed).split(groups, groups=groups)


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
    guess, plain = _held_out(Ridge(), x, y, np.asarray(groups), seed)
    return {"r2": float(1.0 - np.square(y - guess).sum() / np.square(y - plain).sum())}


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
    y = present.astype(np.int64)
    out: dict[str, Any] = {"accuracy": None, "majority": None, "share": float(y.mean())}
    if len(set(groups)) < 2 or np.ptp(y) == 0:
        return out
    guess, plain = _held_out(LogisticRegression(max_iter=1000), x, y, np.asarray(groups), seed)
    out["accuracy"] = float(((guess >= 0.5) == (y == 1)).mean())
    out["majority"] = float(((plain >= 0.5) == (y == 1)).mean())
    return out


def _held_out(
    model: Ridge | LogisticRegression, x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (n,) of every sample by a fit without its fold, and the means of those fits' labels."""
    guess, plain = np.empty(len(y)), np.empty(len(y))
    for train, held in folds(groups, FOLDS, seed):
        plain[held] = guess[held] = y[train].mean()
        if np.ptp(y[train]) > 0:
            guess[held] = _fit_and_predict(model, x[train], y[train], groups[train], x[held], seed)
    return guess, plain


def _fit_and_predict(
    model: Any, x: np.ndarray, y: np.ndarray, groups: np.ndarray, x_new: np.ndarray, seed: int
) -> np.ndarray:
    """Of the penalty of the least squared error on folds within the samples fitted on.

    Penalties weigh against the mean loss, as those of scikit-learn weigh against its sum.
    """
    penalties = STRENGTHS * len(x)
    yes_or_no = isinstance(model, LogisticRegression)
    name, values = ("C", 1 / penalties) if yes_or_no else ("alpha", penalties)
    inner = [fold for fold in folds(groups, INNER_FOLDS, seed + 1) if np.ptp(y[fold[0]]) > 0]
    if inner:
        scoring = "neg_brier_score" if yes_or_no else "neg_mean_squared_error"
        model = GridSearchCV(model, {name: values}, scoring=scoring, cv=inner)
    else:
        model = model.set_params(**{name: values[-1]})  # nothing to choose by: the strongest
    fitted = model.fit(x, y)
    return fitted.predict_proba(x_new)[:, 1] if yes_or_no else fitted.predict(x_new)
