"""Reading a JSON file in which no key may come twice."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

from mapllava.errors import MapLLaVAError


def read_object(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    ``json`` keeps the last of two equal keys and says nothing; two maps for one sample would become
    one. Here that is an error.

    Raises:
        MapLLaVAError: If the file cannot be read, is not JSON, holds no object, or an object in it
            has a key twice; names the file, and the key with its remedy.
    """
    path = Path(path)
    try:
        body = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except OSError as error:
        raise MapLLaVAError(f"results file '{path}' cannot be read: {error.strerror}") from error
    except _TwiceError as error:
        raise MapLLaVAError(
            f"results file '{path}' holds the key {str(error)!r} twice: every sample has one map, so write "
            "the file again from one run"
        ) from error
    except (ValueError, RecursionError) as error:
        raise MapLLaVAError(f"results file '{path}' is not JSON ({error}); write it again") from error
    if not isinstance(body, dict):
        raise MapLLaVAError(f"results file '{path}' must hold a JSON object, not a {type(body).__name__}")
    return body


def short(value: Any) -> str:
    """A value as errors show it: its representation, of large ones the beginning."""
    return reprlib.repr(value)


class _TwiceError(ValueError):
    """A key that comes twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _TwiceError(key)
            seen.add(key)
    return found
