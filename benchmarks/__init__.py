"""Side-by-side measurements: each prints a table and writes JSON to results/."""
