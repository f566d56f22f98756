"""The report page: one HTML file that shows what a results file is worth, and its maps."""

from mapllava.visualization.report_page.page import write_report
from mapllava.visualization.report_page.runs import Run

__all__ = ["Run", "write_report"]
