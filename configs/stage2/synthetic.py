# The synthetic city, trained from scratch on a CPU in minutes: what `make demo` runs.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/synthetic.py",
    "../_base_/models/tiny.py",
    "../_base_/schedules/synthetic.py",
]
