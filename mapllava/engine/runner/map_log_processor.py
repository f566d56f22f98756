"""Log lines that say how far the run is."""

from __future__ import annotations

import re
import resource
from typing import Any

from mmengine.runner import LogProcessor, Runner

from mapllava.registry import LOG_PROCESSORS

_HEADER = re.compile(r"Epoch\(train\)\s+\[\s*(\d+)\]")
_AVERAGED = r"loss|time|grad_norm$"  # norms of groups, grad_norm/<group>, are measured on log steps only


@LOG_PROCESSORS.register_module()
class MapLogProcessor(LogProcessor):
    """MMEngine's log processor, whose training lines begin with ``Epoch [1/24]``.

    ``memory`` is the most that the process has held so far in MiB: of the GPU, or where there is
    none, of the host.

    Args:
        mean_pattern: A regular expression; values whose names it finds are averaged over the window.
        **kwargs: Of MMEngine's class.
    """

    def __init__(self, mean_pattern: str = _AVERAGED, **kwargs: Any) -> None:
        super().__init__(mean_pattern=mean_pattern, **kwargs)

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """The values and the line of a step.

        Args:
            runner: The runner.
            batch_idx: Number of the batch within the epoch.
            mode: ``train``, ``val`` or ``test``.

        Returns:
            Name to value, and the line.
        """
        values, line = super().get_log_after_iter(runner, batch_idx, mode)
        if mode == "train" and "memory" not in values:
            values["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            line += f"  memory: {values['memory']}"
        return values, _HEADER.sub(
            lambda match: f"Epoch [{match.group(1)}/{runner.max_epochs}]", line, count=1
        )
