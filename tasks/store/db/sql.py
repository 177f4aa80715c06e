"""Pieces of SQL that queries on several tables share."""

from __future__ import annotations


def among(name: str) -> str:
    """A column among the texts of the next parameter; of none, false."""
    return f"{name} IN (SELECT unnest(?::VARCHAR[]))"
