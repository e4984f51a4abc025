import gc
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sinkhorn_tf":
            raise ModuleNotFoundError(f"blocked: {name}")

sys.meta_path.insert(0, Block())
"""


@pytest.fixture(autouse=True, scope="module")
def swept():
    """Objects that traced functions leave behind slow every later collection down."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def exact_products():
    """A GPU would round the factors of float32 products in networks to 10 bits."""
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def run_python(tmp_path):
    """Runs code in a fresh isolated process, in another directory."""

    def run(code, *arguments, without_package=False, environment=None):
        script = (BLOCK if without_package else "") + textwrap.dedent(code)
        return subprocess.run(
            [sys.executable, "-I", "-c", script, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
            check=False,
            capture_output=True,
            text=True,
        )

    return run
