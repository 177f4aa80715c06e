"""Work that other processes do ahead, on this machine or on others: given and handed back in order.

A Job says what is done to each item; Work gives items out, a few ahead, and has their answers in
the order of the items, whoever was done first and whoever died. Work by processes of this machine
is here.py, by actors of Ray tasks/on_ray.
"""
