# Parameters, gradients and optimiser state shared out over GPUs, one transformer block at a time.
# Add this file to a config's _base_; a run on one process trains unsharded.
model_wrapper_cfg = dict(
    type="FSDP2Wrapper",
    units=["GradientCheckpointingLayer"],  # the base of transformers' blocks: LLM, vision tower, Q-Former
    param_dtype="bfloat16",  # gathered and computed in; weights and optimiser keep their own
    reduce_dtype="float32",
)
