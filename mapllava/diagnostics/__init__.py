"""What a trained model uses, what it knows, and where its gradients go."""

from mapllava.diagnostics.diagnose import SECTIONS, Diagnosis
from mapllava.diagnostics.opening import OpenedModel, open_checkpoint

__all__ = ["SECTIONS", "Diagnosis", "OpenedModel", "open_checkpoint"]
