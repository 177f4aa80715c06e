"""Actors of Ray that each hold the engine: what is asked is cut (cutting.py), given out and given
out again (dispatch.py) by a process beside ours (host.py), answered there (actor.py)."""
