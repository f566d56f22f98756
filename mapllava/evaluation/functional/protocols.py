"""The named ways of scoring a vector map; a number without its protocol's name says little."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mapllava.errors import MapLLaVAError


@dataclass(frozen=True)
class Protocol:
    """How a map is scored.

    Args:
        name: The name that is printed beside every number.
        num_points: Points per line, equal arc length, before the Chamfer distance.
        thresholds: Chamfer distances in metres up to which a line counts as found, ascending.
        buffer: Half-width in metres of the strips around two lines (flat ends, mitred joins) that
            must touch before the lines are compared; ``None`` compares every pair.
        simplify: Douglas-Peucker tolerance in metres that the protocol's authors apply when they
            make the ground truth; 0 leaves the raw lines. Applied by whoever prepares the ground
            truth (:class:`~mapllava.evaluation.metrics.VectorMapMetric`), never by the score.
        as_they_are: Leave a prediction that has exactly ``num_points`` points as it is, where the
            others are resampled.
    """

    name: str
    num_points: int
    thresholds: tuple[float, ...]
    buffer: float | None = None
    simplify: float = 0.0
    as_they_are: bool = False

    def __post_init__(self) -> None:
        values = list(self.thresholds)
        if not values or values != sorted(set(values)) or values[0] <= 0:
            raise MapLLaVAError(
                f"protocol {self.name}: thresholds {values} must be positive metres, ascending"
            )

    @property
    def title(self) -> str:
        """The name with its thresholds, for tables: ``maptr (0.5/1/1.5 m)``."""
        return f"{self.name} ({'/'.join(f'{t:g}' for t in self.thresholds)} m)"


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol("maptr", 100, (0.5, 1.0, 1.5), buffer=2.0),
        Protocol("strict", 100, (0.2, 0.5, 1.0), buffer=2.0),
        Protocol("far", 100, (1.0, 1.5, 2.0), buffer=2.0),
        Protocol("maptrv2", 100, (0.5, 1.0, 1.5), buffer=2.0, as_they_are=True),
        Protocol("streammapnet", 200, (0.5, 1.0, 1.5), simplify=0.2),
        Protocol("streammapnet_100x50", 200, (1.0, 1.5, 2.0), simplify=0.2),
    )
}
"""MapTR (ICLR 2023); MapTR's rule at the stricter thresholds reported by MapQR (ECCV 2024) and at those
for large regions; MapTRv2 (IJCV 2024); StreamMapNet (WACV 2024) at its two regions of interest."""

ALIASES: dict[str, str] = {"maptr_strict": "strict"}
"""Other names under which a protocol is found; what is printed is its own name."""


def get_protocol(name: str | Protocol, thresholds: Sequence[float] | None = None) -> Protocol:
    """Look a protocol up, with other thresholds if some are given.

    Args:
        name: A name in :data:`PROTOCOLS` or :data:`ALIASES`, or a protocol.
        thresholds: Metres; ``None`` keeps the protocol's own. They are sorted.

    Raises:
        MapLLaVAError: If the name is unknown, or the thresholds are empty, repeated, not positive
            or not finite.
    """
    if isinstance(name, Protocol):
        protocol = name
    elif ALIASES.get(name, name) in PROTOCOLS:
        protocol = PROTOCOLS[ALIASES.get(name, name)]
    else:
        raise MapLLaVAError(f"unknown score protocol {name!r}: use one of {', '.join(PROTOCOLS)}")
    if thresholds is None:
        return protocol
    values = tuple(sorted(float(t) for t in thresholds))
    if not values or len(set(values)) != len(values) or not all(0 < t < math.inf for t in values):
        raise MapLLaVAError(f"thresholds {list(thresholds)} must be distinct, positive metres, at least one")
    return replace(protocol, thresholds=values)
