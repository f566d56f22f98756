"""Time of a step by part, on a clock that only the parts move."""

import pytest
import torch
from torch import nn

from benchmarks import measured
from benchmarks.measured import LOSSES, REST, StepTimer


class Work(torch.autograd.Function):
    """Moves the clock by so much forward, and ten times as much backward."""

    @staticmethod
    def forward(ctx, x, clock, amount):
        ctx.clock, ctx.amount = clock, amount
        clock[0] += amount
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        ctx.clock[0] += 10 * ctx.amount
        return gradient * 2, None, None


class Child(nn.Module):
    def __init__(self, clock, amount):
        super().__init__()
        self.clock, self.amount = clock, amount

    def forward(self, x):
        return {"seen": Work.apply(x, self.clock, self.amount)}

    def loss(self, seen):
        return Work.apply(seen, self.clock, 0.5).sum()


class Model(nn.Module):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.start = nn.Parameter(torch.ones(3))
        self.eye, self.mind = Child(clock, 1.0), Child(clock, 2.0)

    def forward(self):
        seen = self.eye(self.start)["seen"]
        self.clock[0] += 0.25
        return self.mind.loss(self.mind(seen)["seen"])


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(measured.time, "perf_counter", lambda: now[0])
    return now


def step(timer, clock):
    with timer.attached():
        timer.start()
        loss = timer.model()
        timer.mark(LOSSES)
        loss.backward()
        timer.timed(lambda: clock.__setitem__(0, clock[0] + 3), "update")()
        return timer.stop()


def test_forward_and_backward_of_each_part(clock):
    timer = StepTimer(Model(clock), {"mind": "thought"})
    for _ in range(2):  # no step leaves anything to the next
        seconds = step(timer, clock)
        assert seconds == {REST: 0.25, "eye": 11.0, "thought": 22.0, LOSSES: 5.5, "update": 3.0}


def test_nothing_stays_on_the_model(clock):
    model = Model(clock)
    step(StepTimer(model), clock)
    assert "loss" not in vars(model.mind)
    assert not model.eye._forward_hooks
    assert not model.eye._forward_pre_hooks
