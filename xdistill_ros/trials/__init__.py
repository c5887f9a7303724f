"""Trials: protocol, schedule, results, statistics, and how they are shown. Knows the rig only."""

from .overlay import Outcome, Preview
from .protocol import Protocol, ProtocolError
from .record import Record, ResultsLog, read, read_record
from .results import Latency, Provenance, ResultsError, TrialResult, Void
from .schedule import FIRST_EVALUATION_SEED, Trial, schedule
from .statistics import Rate, rates, wilson

__all__ = [
    "FIRST_EVALUATION_SEED", "Latency", "Outcome", "Preview", "Protocol", "ProtocolError", "Provenance", "Rate",
    "Record", "ResultsError", "ResultsLog", "Trial", "TrialResult", "Void", "rates", "read", "read_record", "schedule",
    "wilson",
]  # fmt: skip
