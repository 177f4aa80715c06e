"""The loop: which requests run in the next step, in this process or in replicas."""
