"""YAML configs as values: MMEngine's reader of them obeys tags such as ``!!python/object/apply``."""

from __future__ import annotations

from typing import Any

import yaml
from mmengine.fileio import register_handler
from mmengine.fileio.handlers import YamlHandler


@register_handler(["yaml", "yml"])
class PlainYamlHandler(YamlHandler):
    """Reads plain YAML, for all that MMEngine opens; a tag of Python's is an error."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """The values of an open file; another loader that is asked for is not taken."""
        return yaml.load(file, Loader=yaml.SafeLoader)
