"""What the layers' outputs are compared with."""

import numpy as np
from scipy.optimize import linear_sum_assignment

import sinkhorn_tf as st


def plain_sinkhorn(x, t, n_iters=3):
    return st.sinkhorn(x, t, n_iters, jit_compile=False).numpy()


def hard_matrices(x):
    return np.array(
        [np.eye(x.shape[-1])[linear_sum_assignment(-each)[1]] for each in x]
    )
