"""Where the time of a real training step goes, part by part, and the memory it takes on a CPU."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from mapllava.analysis.cost.training_step import exchanged
from mapllava.engine.runner.second_look import tensors_in

LOSSES, REST = "matching and losses", "rest"


class StepTimer:
    """Attributes the time of a step to the detector's children, and to what runs between them.

    The backward pass of a part begins when the gradient of its output arrives, and lasts until that of the
    part before it does; recomputation belongs to it. Marks on a GPU are events in its stream, so
    nothing waits for them.

    Args:
        model: the detector on its device.
        names: child to the name its time is given to, its own by default.
    """

    def __init__(self, model: nn.Module, names: Mapping[str, str] | None = None) -> None:
        self.model, self.names = model, dict(names or {})
        self._on_gpu = next(model.parameters()).is_cuda
        self._open: list[str] = [REST]
        self._marks: list[tuple[str, Any]] = []

    @contextmanager
    def attached(self) -> Iterator[StepTimer]:
        """Watch the model's children, and the losses of head and neck, for the while."""
        with ExitStack() as stack:
            for child_name, child in self.model.named_children():
                name = self.names.get(child_name, child_name)
                handles = [
                    child.register_forward_pre_hook(self._enter(name)),
                    child.register_forward_hook(self._leave(name)),
                ]
                for handle in handles:
                    stack.callback(handle.remove)
                loss: Any = getattr(child, "loss", None)
                if loss is not None:
                    stack.enter_context(exchanged(child, "loss", self.timed(loss, LOSSES)))
            yield self

    def start(self) -> None:
        """The step begins."""
        self._marks, self._open = [], [REST]
        if self._on_gpu:
            torch.cuda.synchronize()
        self.mark(REST)

    def mark(self, name: str) -> None:
        """From here on, time is of this part."""
        now: Any = time.perf_counter()
        if self._on_gpu:
            now = torch.cuda.Event(enable_timing=True)
            now.record()
        self._marks.append((name, now))

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """A function whose time is given to a name."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.mark(name)
            result = function(*args, **kwargs)
            self.mark(self._open[-1])
            return result

        return timed

    def stop(self) -> dict[str, float]:
        """The step ends: seconds of each part."""
        self.mark("")
        if self._on_gpu:
            torch.cuda.synchronize()
        seconds: Counter[str] = Counter()
        for (name, begin), (_, end) in zip(self._marks, self._marks[1:], strict=False):
            seconds[name] += begin.elapsed_time(end) / 1000 if self._on_gpu else end - begin
        return dict(seconds)

    def _enter(self, name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self._open.append(name)
            self.mark(name)

        return hook

    def _leave(self, name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            self._open.pop()
            self.mark(self._open[-1])
            for tensor in tensors_in(output):
                if tensor.requires_grad:
                    tensor.register_hook(lambda _gradient: self.mark(name))

        return hook


def measured_peak(step: Callable[[], None]) -> int:
    """Most bytes that PyTorch's CPU allocator holds during a step above what it held before.

    Args:
        step: the step; run it once before, so that caches are filled.
    """
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        step()
    results: Any = profile.profiler
    events = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak
