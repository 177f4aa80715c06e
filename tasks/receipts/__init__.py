"""Receipts: what a run was bound to, what its verdict rests on, and a signature over both."""
