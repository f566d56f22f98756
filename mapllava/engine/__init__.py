"""What MMEngine's runner lacks: building, hooks, the optimiser's wrapper and its parameter groups."""

from mapllava.engine import checkpoint_loader, hooks
from mapllava.engine.autocast_optim_wrapper import AutocastOptimWrapper
from mapllava.engine.builder import build_runner
from mapllava.engine.fsdp2_wrapper import FSDP2Wrapper
from mapllava.engine.map_iter_train_loop import MapIterTrainLoop
from mapllava.engine.map_log_processor import MapLogProcessor
from mapllava.engine.map_runner import MapRunner
from mapllava.engine.map_spec_injection import inject_map_spec
from mapllava.engine.map_train_loop import MapTrainLoop
from mapllava.engine.map_val_loop import MapValLoop
from mapllava.engine.memory import StateMemory, state_memory
from mapllava.engine.muon_adamw import MuonAdamW
from mapllava.engine.optim_wrapper_constructor import MapOptimWrapperConstructor

__all__ = [
    "AutocastOptimWrapper",
    "FSDP2Wrapper",
    "MapIterTrainLoop",
    "MapLogProcessor",
    "MapOptimWrapperConstructor",
    "MapRunner",
    "MapTrainLoop",
    "MapValLoop",
    "MuonAdamW",
    "StateMemory",
    "build_runner",
    "checkpoint_loader",
    "hooks",
    "inject_map_spec",
    "state_memory",
]
