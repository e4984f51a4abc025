"""From the metrics of runs to the tables of docs/results and the heads of configs."""
