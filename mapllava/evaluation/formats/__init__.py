"""Results files of other projects, read and written with frame, axes and class order converted."""

from mapllava.evaluation.formats.convert import KINDS, arrange, detect_kind, read_results, write_results

__all__ = ["KINDS", "arrange", "detect_kind", "read_results", "write_results"]
