"""What a trained model uses, what it knows, and where its gradients go."""

from mapllava.diagnostics.diagnose import SECTIONS, Diagnosis
from mapllava.diagnostics.opening import OpenedModel, open_checkpoint
from mapllava.diagnostics.pictures import draw_diagnosis
from mapllava.diagnostics.report import diagnosis_text, findings

__all__ = [
    "SECTIONS",
    "Diagnosis",
    "OpenedModel",
    "diagnosis_text",
    "draw_diagnosis",
    "findings",
    "open_checkpoint",
]
