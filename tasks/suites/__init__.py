"""Suites as data: made of what other tools keep or of logged calls, compared, and how often each
has decided.

Neither a stage nor a room: what a line of a suite is, tasks/curate says.
"""
