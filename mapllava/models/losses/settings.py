"""Numbers that configs give to losses and costs."""

from __future__ import annotations

import math

from mapllava.errors import MapLLaVAError


def check_numbers(owner: object, upto: float = math.inf, **values: float) -> None:
    """Refuse numbers that would make a loss infinite or negative.

    Args:
        owner: Whose numbers they are, for the message.
        upto: The largest that is allowed.
        **values: Each must be a finite number from 0.

    Raises:
        MapLLaVAError: Names the owner, the number and its value.
    """
    for name, value in values.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not 0 <= value <= upto:
            span = "from 0" if math.isinf(upto) else f"from 0 to {upto:g}"
            raise MapLLaVAError(f"{type(owner).__name__}.{name} is {value!r}: use a finite number {span}")
