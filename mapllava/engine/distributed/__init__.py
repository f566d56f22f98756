"""Sharded models and the model below its wrapper."""
