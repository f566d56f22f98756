"""What a training step costs: memory and arithmetic, counted without weights, data or a GPU."""

from mapllava.profiling.example_batch import SampleShape, example_batch
from mapllava.profiling.fake_step import build_meta, record_step
from mapllava.profiling.memory_plan import Plan, PlanOptions, choose, make_plans
from mapllava.profiling.model_parts import Part, model_parts
from mapllava.profiling.step_recorder import StepRecorder
from mapllava.profiling.training_step import build_optimizer, measured_peak, training_step

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
    "measured_peak",
    "model_parts",
    "record_step",
    "training_step",
]
