"""The next items are made ready while the present one is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

_LOOK = 0.2  # seconds after which a waiting reader looks whether anybody still wants what it reads


def read_ahead(
    items: Iterable[Any], prepare: Callable[[Any], Any], ahead: int, threads: int = 2
) -> Generator[tuple[Any, Future], None, None]:
    """Go through items in their order, each prepared in a background thread.

    Args:
        items: Drawn from one at a time, in a background thread too.
        prepare: What is done to each; several threads call it at once.
        ahead: Most items that are prepared and not yet taken; bounds the memory.
        threads: Threads that prepare.

    Yields:
        Each item, and the future of what ``prepare`` gave or raised.

    Raises:
        BaseException: What ``items`` raises, after all items before it.
    """
    waiting: queue.Queue[tuple[Any, Future | None, BaseException | None]] = queue.Queue(max(1, ahead))
    left = threading.Event()

    def put(entry: tuple[Any, Future | None, BaseException | None]) -> bool:
        while not left.is_set():
            with suppress(queue.Full):
                waiting.put(entry, timeout=_LOOK)
                return True
        return False

    def read(pool: ThreadPoolExecutor) -> None:
        try:
            for item in items:
                if not put((item, pool.submit(prepare, item), None)):
                    return
        except BaseException as error:  # raised again where the items are used
            put((None, None, error))
            return
        put((None, None, None))

    with ThreadPoolExecutor(max(1, threads), "mapllava-read") as pool:
        reader = threading.Thread(target=read, args=(pool,), name="mapllava-read", daemon=True)
        reader.start()
        try:
            while True:
                item, future, error = waiting.get()
                if error is not None:
                    raise error
                if future is None:
                    return
                yield item, future
        finally:
            left.set()
            reader.join()
            pool.shutdown(wait=True, cancel_futures=True)
