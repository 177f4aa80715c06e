"""Ray, for whoever has work that other processes or machines may do: driven by a process beside
ours (driver.py, host.py), because Ray ends its driver without a word.

Actors that hold engines are tasks/backends/pool. Work that is given and handed back in order, such
as reading logs and masking calls, is done here: by actors (actor.py) that a pool drives
(working.py), in turns (turns.py), for a stage that gives and takes (work.py).
"""
