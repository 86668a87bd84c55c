"""Does a defocus stack improve depth: two arms of training, four ways of looking, intervals."""

from .measure import CONDITIONS, measure_claim
from .runs import Arm, ClaimRun, find_runs
from .summary import Claim, summarise_claim

__all__ = [
    "CONDITIONS",
    "Arm",
    "Claim",
    "ClaimRun",
    "find_runs",
    "measure_claim",
    "summarise_claim",
]
