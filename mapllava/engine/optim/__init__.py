"""Optimiser wrapper with mixed precision, accumulation, parameter groups, Muon."""
