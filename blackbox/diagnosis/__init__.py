"""What was wrong with a run? Findings, each with its evidence and the remedy.

Each check reads what the history has recorded, and nothing else; `blackbox.diagnosis.thresholds`
has the numbers that it goes by, and why. A finding that explains others is told in their place. The
page "Diagnosis" of the documentation says what each means, and how often they are right.
"""

from blackbox.diagnosis.finding import Diagnosis, Finding
from blackbox.diagnosis.terms import Terms

__all__ = ["NAMES", "Diagnosis", "Finding", "Terms", "diagnose"]

from blackbox.diagnosis.diagnosing import NAMES, diagnose
