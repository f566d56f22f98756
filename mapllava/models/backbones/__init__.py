"""Backbones from transformers, what of them trains, and how their frozen weights are held."""
