"""mapllava's own configs, which travel with the package, so that they can be named from any folder.

``stage2/synthetic`` names one where a config is asked for, ``mapllava::stage2/synthetic.py`` one to inherit
from in ``_base_``.
"""

from __future__ import annotations

from pathlib import Path

from mapllava.config.mistake import suggestion
from mapllava.errors import MapLLaVAError

PREFIX = "mapllava::"


def configs_folder() -> Path:
    """``configs/`` inside the installed package, or that of the checkout it is imported from."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """What can be trained from: ``stage2/synthetic`` and so on, sorted."""
    folder = configs_folder()
    leaves = (path.relative_to(folder) for path in folder.glob("[!_]*/**/*.py"))
    return sorted(path.with_suffix("").as_posix() for path in leaves)


def packaged_config(name: str) -> Path | None:
    """The file of one of mapllava's own configs, or None.

    Args:
        name: ``stage2/synthetic``, with or without ``.py``, ``configs/`` or ``mapllava::`` before it.
    """
    plain = name.removeprefix(PREFIX).removeprefix("./").removeprefix("configs/")
    if not plain or Path(plain).is_absolute() or ".." in Path(plain).parts:
        return None
    path = configs_folder() / plain
    return next((each for each in (path, path.with_name(f"{path.name}.py")) if each.is_file()), None)


def own_config(name: str) -> Path | None:
    """The user's own file of this name, ``.py`` added where that makes it one, or None."""
    path = Path(name)
    return next((each for each in (path, Path(f"{name}.py")) if each.is_file()), None)


def find_config(name: str | Path) -> Path:
    """The file of a config: the user's own of this name, or else one of mapllava's.

    Args:
        name: A path, or the name of one of mapllava's own, see :func:`packaged_config`.

    Raises:
        MapLLaVAError: If there is neither.
    """
    found = own_config(str(name)) or packaged_config(str(name))
    if found is None:
        raise MapLLaVAError(f"config '{name}' is not there; {there_is(str(name))}")
    return found


def there_is(name: str) -> str:
    """What may be meant by a name that is none of mapllava's configs, and what there is."""
    names = config_names()
    plain = name.removeprefix(PREFIX).removeprefix("configs/").removesuffix(".py")
    by_last = {each.rpartition("/")[2]: each for each in reversed(names)}
    near = by_last.get(plain) or by_last.get(plain.rpartition("/")[2])
    meant = f"did you mean '{near}'?" if near else suggestion(plain, names)
    return f"{meant} mapllava has {', '.join(names)}".strip()
