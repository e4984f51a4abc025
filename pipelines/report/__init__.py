"""From the metrics of runs to the tables of RESULTS.md and the heads of configs."""
