"""Which samples a results file draws best and worst."""

from __future__ import annotations

import numpy as np

from mapllava.apis.album import Album
from mapllava.errors import MapLLaVAError
from mapllava.evaluation.functional import best_and_worst, sample_scores
from mapllava.evaluation.scoring import evaluate_maps, pair_with_cache
from mapllava.visualization.thinning import ScoreCut


def best_and_worst_samples(album: Album, num_best: int, num_worst: int) -> list[tuple[str, str, str]]:
    """Rank the samples of an album's first results file.

    By :func:`~mapllava.evaluation.functional.sample_scores`, with the cuts at which lines are drawn.
    A sample that the file lacks is not ranked.

    Args:
        album: With results and a cache.
        num_best: Samples drawn best.
        num_worst: Samples drawn worst.

    Returns:
        ``best_01`` and the like, words for the picture, and token: best first, then worst first.

    Raises:
        MapLLaVAError: If the album has no cache or no results, a number is below 0, or no sample has a score.
    """
    if album.cache is None or not album.results:
        raise MapLLaVAError("best and worst samples need a results file and the GT cache of its split")
    if min(num_best, num_worst) < 0 or num_best + num_worst == 0:
        raise MapLLaVAError(f"{num_best} best and {num_worst} worst samples: use 0 or more, and not 0 twice")
    name, results = next(iter(album.results.items()))
    evaluation = evaluate_maps(pair_with_cache(results, album.cache))
    cuts = ScoreCut.of(album.first_cut, album.spec.classes)
    scores = sample_scores(evaluation.matches, cuts.scores.tolist())
    tokens = [sample["sample_token"] for sample in evaluation.maps.predictions]
    scores = scores.of_predicted([token in results.results for token in tokens])
    if np.isnan(scores.score).all():
        raise MapLLaVAError(f"{results.name}: no sample has a line or a prediction, so none is best or worst")
    of = f" of {name}" if len(album.results) > 1 else ""
    chosen = []
    best, worst = best_and_worst(scores, num_best, num_worst)
    for kind, places in (("best", best), ("worst", worst)):
        for rank, place in enumerate(places, start=1):
            words = f"{kind} {rank}{of}: {scores.score[place]:.2f} ({scores.name})"
            chosen.append((f"{kind}_{rank:02d}", words, tokens[place]))
    return chosen
