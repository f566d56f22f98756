"""What MMEngine's runner lacks: building, hooks, the optimiser's wrapper and its parameter groups."""

from mapllava.checkpoint import checkpoint_loader
from mapllava.engine import hooks
from mapllava.engine.distributed.fsdp2_wrapper import FSDP2Wrapper
from mapllava.engine.distributed.memory import StateMemory, state_memory
from mapllava.engine.optim.autocast_optim_wrapper import AutocastOptimWrapper
from mapllava.engine.optim.muon_adamw import MuonAdamW
from mapllava.engine.optim.optim_wrapper_constructor import MapOptimWrapperConstructor
from mapllava.engine.runner.builder import build_runner
from mapllava.engine.runner.map_iter_train_loop import MapIterTrainLoop
from mapllava.engine.runner.map_log_processor import MapLogProcessor
from mapllava.engine.runner.map_runner import MapRunner
from mapllava.engine.runner.map_train_loop import MapTrainLoop
from mapllava.engine.runner.map_val_loop import MapValLoop

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
    "state_memory",
]
