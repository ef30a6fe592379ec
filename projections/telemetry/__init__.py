"""What attempts measured and printed: tables of their own, and the questions asked of them."""

from __future__ import annotations

from tunebus.projections.telemetry.answers import sample_answers
from tunebus.projections.telemetry.curves import ANSWER_POINTS, SERIES_POINTS, curves, outlines
from tunebus.projections.telemetry.machines import machine_series
from tunebus.projections.telemetry.output import LEVELS, log_text, search_log
from tunebus.projections.telemetry.progress import latest_progress
from tunebus.projections.telemetry.tables import EVERY_JOB, attempts, logs, metadata, metrics, samples, system, writes

__all__ = [
    "ANSWER_POINTS",
    "EVERY_JOB",
    "LEVELS",
    "SERIES_POINTS",
    "attempts",
    "curves",
    "latest_progress",
    "log_text",
    "logs",
    "machine_series",
    "metadata",
    "metrics",
    "outlines",
    "sample_answers",
    "samples",
    "search_log",
    "system",
    "writes",
]
