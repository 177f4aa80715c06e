"""Seeds: one a completion, the same for champion and challenger, so that luck cancels out.

The `seed` of a completion's key is run seed + number of the repeat (0, 1, …), so a completion is a
function of (release, sample, seed) whatever run asked for it. Runs whose seeds are closer than the
number of repeats therefore share completions: choose seeds at least `repeats` apart where runs
must be independent. The engine's own seed derives from (seed, sample id).
"""

from __future__ import annotations

import hashlib

_BITS = 63  # a positive BIGINT, and within what the engine takes


def repeat_seeds(run_seed: int, repeats: int) -> range:
    """The seeds of a run, one a repeat."""
    return range(run_seed, run_seed + repeats)


def sample_seed(seed: int, sample_id: str) -> int:
    """Seed of one completion, 0 ≤ seed < 2^63: the first 63 bits of sha256("SEED:SAMPLE_ID")."""
    digest = hashlib.sha256(f"{seed}:{sample_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _BITS)
