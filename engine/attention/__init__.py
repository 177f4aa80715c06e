"""What one step's attention has to do, and who may do it."""
