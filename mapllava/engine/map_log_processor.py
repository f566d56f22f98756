"""Log lines that say how far the run is."""

from __future__ import annotations

import re

from mmengine.runner import LogProcessor, Runner

from mapllava.registry import LOG_PROCESSORS

_HEADER = re.compile(r"Epoch\(train\)\s+\[\s*(\d+)\]")


@LOG_PROCESSORS.register_module()
class MapLogProcessor(LogProcessor):
    """MMEngine's log processor, whose training lines begin with ``Epoch [1/24]``."""

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
        return values, _HEADER.sub(
            lambda match: f"Epoch [{match.group(1)}/{runner.max_epochs}]", line, count=1
        )
