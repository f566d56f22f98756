"""From which score on a line is shown: where a class's best F1 lies.

On held-out data such thresholds are a fair choice. On the very samples that are scored with them, what is
said of the map as it is drawn flatters a little: :func:`told_of` says so in their source.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapllava.evaluation.certainty import doubt_of_matches
from mapllava.evaluation.functional import best_f1
from mapllava.evaluation.functional.matches import Matches
from mapllava.evaluation.sample_record import FALLBACK_SCORE, Display
from mapllava.evaluation.scoring import Evaluation, data_name


def best_f1_display(evaluation: Evaluation, distance: float = 1.0, version: str | None = None) -> Display:
    """The cuts of an evaluation; see :func:`display_of_matches`.

    Args:
        evaluation: Of the samples that choose.
        distance: Metres within which a line counts as found.
        version: What ``source`` calls the data; None takes the cache's version.
    """
    where = data_name(evaluation.maps.split, version or evaluation.maps.version)
    return display_of_matches(evaluation.matches, where, distance)


def display_of_matches(matches: Matches, where: str, distance: float = 1.0) -> Display:
    """For each class the score cut that gives the best F1.

    Args:
        matches: Of the samples that choose.
        where: The data, for ``source``.
        distance: Metres within which a line counts as found; the protocol's nearest to it is taken.

    Returns:
        The cuts; a class of which nothing was found has ``FALLBACK_SCORE``, and ``source`` says so. With
        them the scores that leave a line in doubt.
    """
    limits = np.asarray(matches.protocol.thresholds, dtype=np.float64)
    row = int(np.abs(limits - distance).argmin())
    cuts, unknown = {}, []
    for label, name in enumerate(matches.class_names):
        scores, found = matches.of_class(label)
        cut = float(best_f1(scores, found, int(matches.num_gt[label]))["score"][row])
        cuts[name] = cut if np.isfinite(cut) else FALLBACK_SCORE
        unknown += [] if np.isfinite(cut) else [name]
    source = f"best F1 at {limits[row]:g} m on {where}"
    if unknown:
        source += f"; {FALLBACK_SCORE:g} for {', '.join(unknown)}, of which nothing was found"
    doubt = doubt_of_matches(matches, distance)
    return Display(cuts, source, doubt.certain, doubt.possible)


THESE = ", these samples themselves"


def told_of(display: Display, where: str) -> Display:
    """The same cuts, with a source that says whether the data they are used on chose them.

    Args:
        display: As :func:`display_of_matches` gives it, for instance from a model file.
        where: The data that it is used on, as ``display_of_matches`` was told.
    """
    first, semicolon, rest = display.source.partition(";")
    if not first.endswith(f" on {where}"):
        return display
    return replace(display, source=first + THESE + semicolon + rest)
