"""Work done by several processes, its results in the order of the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

import cv2

from mapllava.errors import MapLLaVAError
from mapllava.startup import end_with_parent

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2
"""Tasks held for each worker; bounds what waits in memory."""


def in_order(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """Call a function on every task and give the results in order.

    Args:
        function: Of a module, so that another process finds it.
        tasks: Taken a few at a time.
        workers: Processes; 1 works in this one.

    Raises:
        MapLLaVAError: If ``workers`` is below 1. What the function raises comes through.
    """
    if workers < 1:
        raise MapLLaVAError(f"workers is {workers}: at least 1 is needed")
    if workers == 1:
        yield from map(function, tasks)
        return
    left = iter(tasks)
    with ProcessPoolExecutor(workers, initializer=_begin) as pool:
        running: deque[Future[Result]] = deque()
        try:
            while True:
                wanted = _AHEAD * workers - len(running)
                running += [pool.submit(function, task) for task in islice(left, wanted)]
                if not running:
                    return
                yield running.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    end_with_parent()
    cv2.setNumThreads(0)  # one process a core is enough, and a forked one must not use its parent's threads
