"""Re-execution: what a verdict rested on, link by link, held against what is here today; and the
run's answers, scores and decision, made anew beside those that were recorded."""
