"""What a trained model uses, what it knows, and where its gradients go."""

from mapllava.analysis.diagnosis.diagnose import SECTIONS, Diagnosis
from mapllava.analysis.diagnosis.opening import OpenedModel, open_checkpoint
from mapllava.analysis.diagnosis.pictures import draw_diagnosis
from mapllava.analysis.diagnosis.report import diagnosis_text, findings

__all__ = [
    "SECTIONS",
    "Diagnosis",
    "OpenedModel",
    "diagnosis_text",
    "draw_diagnosis",
    "findings",
    "open_checkpoint",
]
