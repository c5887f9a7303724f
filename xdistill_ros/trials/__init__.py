"""Trials: protocol, schedule, results, statistics, and how they are shown. Knows the rig only."""

from .overlay import Outcome, Preview
from .results import Provenance, ResultsError, ResultsLog, Stage, TrialResult, read
from .schedule import FIRST_EVALUATION_SEED, Trial, schedule
from .statistics import Rate, rates, wilson

__all__ = [
    "FIRST_EVALUATION_SEED", "Outcome", "Preview", "Provenance", "Rate", "ResultsError", "ResultsLog", "Stage",
    "Trial", "TrialResult", "rates", "read", "schedule", "wilson",
]  # fmt: skip
