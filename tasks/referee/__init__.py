"""The referee: a verdict on results that others computed; nothing is run.

Readers, one a format, make the same rows of every file; they are paired by id, and judged by the
gate that judges our own runs. Neither a stage nor a room: no store, no ledger.
"""
