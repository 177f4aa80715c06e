"""Where a process may have only so much address space (ulimit -v), nothing is reserved in advance.

Three allocators keep far more than they use, and the store then lacks it: glibc reserves 64 MiB for
every thread (DuckDB starts nine), Arrow's own a gigabyte, and DuckDB's never gives addresses back.
"""

from __future__ import annotations

import ctypes
import os
import resource
from contextlib import suppress

#: of malloc.h
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_MAX_ARENAS = 2
_LARGE_BYTES = 2**20


def spare() -> None:
    """For processes that have a limit. Call it before Arrow or DuckDB is imported."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("DUCKDB_JE_MALLOC_CONF", "retain:false")
    with suppress(OSError, AttributeError):  # another C library has no arenas
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_M_ARENA_MAX, _MAX_ARENAS)
        # large blocks go back when they are freed; glibc would come to keep those up to 32 MiB
        allocator.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
