"""What attempts measured and printed: tables of their own, and the questions asked of them."""

from __future__ import annotations

from tunebus.projections.telemetry.curves import ANSWER_POINTS, SERIES_POINTS, curves
from tunebus.projections.telemetry.logs import log_text
from tunebus.projections.telemetry.progress import latest_progress
from tunebus.projections.telemetry.samples import sample_answers
from tunebus.projections.telemetry.tables import attempts, logs, metadata, metrics, samples, system

__all__ = [
    "ANSWER_POINTS",
    "SERIES_POINTS",
    "attempts",
    "curves",
    "latest_progress",
    "log_text",
    "logs",
    "metadata",
    "metrics",
    "sample_answers",
    "samples",
    "system",
]
