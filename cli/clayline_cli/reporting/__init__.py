"""The report: one page of HTML that shows a scene, its chips, and which are like which (docs/report.md)."""
