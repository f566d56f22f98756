"""Which versions are tested, and how a version compares, with the standard library alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from itertools import zip_longest
from pathlib import Path

import mapllava

CHECKOUT = Path(mapllava.__file__).parents[1]
_LINE = re.compile(r"([A-Za-z0-9._-]+)\s*\(?([<>=!~][^;)]*)?")
_BOUND = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9.]+)")


@dataclass(frozen=True)
class Requirement:
    """A distribution and the versions of it that are tested, e.g. ``torch`` and ``>=2.6``."""

    name: str
    versions: str

    def __str__(self) -> str:
        return f"{self.name}{self.versions}"


def runtime_requirements() -> list[Requirement]:
    """What the package needs: from the checkout, or else from the installed package's description.

    Raises:
        FileNotFoundError: If neither says it.
    """
    path = CHECKOUT / "requirements" / "runtime.txt"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
    else:
        lines = [line for line in _described("Requires-Dist") if "extra ==" not in line]
    found = []
    for line in lines:
        match = _LINE.match(line.strip())
        if match and not line.lstrip().startswith("#"):
            found.append(Requirement(match.group(1), (match.group(2) or "").replace(" ", "")))
    if not found:
        raise FileNotFoundError(f"neither {path} nor the installed package says what mapllava needs")
    return found


def python_versions() -> str:
    """The versions of Python that are tested, e.g. ``>=3.11,<3.13``; empty if nothing says it."""
    path = CHECKOUT / "setup.py"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    match = re.search(r'python_requires="([^"]+)"', text)
    return match.group(1) if match else ",".join(_described("Requires-Python"))


def satisfies(version: str, versions: str) -> bool:
    """Whether a version lies within comma-separated bounds; build suffixes (``+cu130``) do not count."""
    number = _numbers(version)
    for sign, bound in _BOUND.findall(versions):
        pairs = list(zip_longest(number, _numbers(bound), fillvalue=0))
        mine, limit = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        holds = {
            ">=": mine >= limit,
            "<=": mine <= limit,
            "==": mine == limit,
            "!=": mine != limit,
            "<": mine < limit,
            ">": mine > limit,
        }
        if not holds[sign]:
            return False
    return True


def installed_version(name: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _described(key: str) -> list[str]:
    try:
        return metadata.metadata("mapllava").get_all(key) or []
    except metadata.PackageNotFoundError:
        return []


def _numbers(version: str) -> list[int]:
    match = re.match(r"\d+(\.\d+)*", version)
    return [int(part) for part in match.group().split(".")] if match else []
