"""Figures that tests recorded, told at the end of the run."""

from __future__ import annotations

from typing import Any

from _pytest.terminal import TerminalReporter


def tell_matrix(reporter: TerminalReporter) -> None:
    """How many cells of the access matrix were asked, in how many seconds of tests; in all processes together."""
    reports: list[Any] = [
        report for report in reporter.stats.get("passed", []) if "matrix_cells" in dict(report.user_properties)
    ]
    if not reports:
        return
    figures = [dict(report.user_properties) for report in reports]
    cells, core = (sum(each[name] for each in figures) for name in ("matrix_cells", "matrix_core_cells"))
    worked = sum(report.duration for report in reports)
    reporter.write_line(
        f"access matrix: {cells:,} cells asked by {len(reports)} actors, {core:,} of them of the core surfaces;"
        f" {worked:.0f} s of work"
    )
