"""The report as it is published: its data, Markdown, and one self-contained HTML page."""

from nodes.research.report.data import ReportData, Reported, report_data, report_sha256
from nodes.research.report.markdown import to_markdown
from nodes.research.report.page import to_html

__all__ = ["ReportData", "Reported", "report_data", "report_sha256", "to_html", "to_markdown"]
