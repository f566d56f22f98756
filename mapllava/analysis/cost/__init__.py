"""What a training step costs: memory and arithmetic, counted without weights, data or a GPU."""

from mapllava.analysis.cost.example_batch import SampleShape, example_batch
from mapllava.analysis.cost.fake_step import build_meta, record_step
from mapllava.analysis.cost.memory_plan import Plan, PlanOptions, choose, make_plans
from mapllava.analysis.cost.model_parts import Part, model_parts
from mapllava.analysis.cost.step_recorder import StepRecorder
from mapllava.analysis.cost.training_step import build_optimizer, training_step

__all__ = [
    "Part",
    "Plan",
    "PlanOptions",
    "SampleShape",
    "StepRecorder",
    "build_meta",
    "build_optimizer",
    "choose",
    "example_batch",
    "make_plans",
    "model_parts",
    "record_step",
    "training_step",
]
