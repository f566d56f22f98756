"""What an entry of ``_base_`` means: a path, or one of mapllava's own configs.

MMEngine reads ``package::config`` for a list of OpenMMLab's packages alone, through an index file and
setuptools' ``pkg_resources``. Its one function that does so learns our prefix here.
"""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from mapllava.config.packaged import PREFIX, configs_folder, packaged_config, there_is
from mapllava.errors import MapLLaVAError


def base_file(name: str, config: Path) -> Path:
    """The file that an entry of ``_base_`` means.

    Args:
        name: The entry: a path as seen from the config, or ``mapllava::NAME``.
        config: The config that names it.

    Raises:
        MapLLaVAError: If there is no such file.
    """
    if name.startswith(PREFIX):
        found = packaged_config(name)
        if found is None:
            raise MapLLaVAError(
                f"'{config}': _base_ '{name}' is none of mapllava's configs; {there_is(name)}"
            )
        return found
    path = config.parent / name
    if not path.is_file() and (ours := packaged_config(name)) is not None:
        own = f"{PREFIX}{ours.relative_to(configs_folder()).as_posix()}"
        raise MapLLaVAError(
            f"'{config}': _base_ '{name}' is not there; mapllava's own of this name is _base_ = \"{own}\""
        )
    return path


_of_other_packages = Config._get_cfg_path  # private, because MMEngine has no public way to add a package


def _path_and_scope(cfg_path: str, filename: str) -> tuple[str, str | None]:
    if "::" in cfg_path and not cfg_path.startswith(PREFIX):
        return _of_other_packages(cfg_path, filename)
    return str(base_file(cfg_path, Path(filename))), None


# Config's own methods call it by this name, so a subclass's would not be asked.
Config._get_cfg_path = staticmethod(_path_and_scope)
