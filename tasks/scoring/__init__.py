"""Scorers: each is a function (completion text, target) → Score, with parameters and a version.

`instrument` is how a scorer is had by what a suite declares. Knows nothing of stores, releases or
engines.
"""

from __future__ import annotations

from tasks.scoring.base import Score, unscored
from tasks.scoring.instrument import Instrument, instrument
from tasks.scoring.registry import KINDS

__all__ = ["KINDS", "Instrument", "Score", "instrument", "unscored"]
