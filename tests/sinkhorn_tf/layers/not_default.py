"""Settings of layers that are not the default ones."""

SINKHORN = {
    "temperature": 0.4,
    "n_iters": 1,
    "tolerance": 1e-3,
    "gradient": "implicit",
    "hard": True,
}
