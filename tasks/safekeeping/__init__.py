"""The state folder as a whole: what is taken out of it in time, copied away and brought back."""
