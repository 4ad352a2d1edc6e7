"""Results put beside what is known, as tables and figures."""

from .unmixing import UnmixingReport, report

__all__ = ["UnmixingReport", "report"]
