"""The programs on top of the library: experiments, studies and tools."""

import importlib.util
import sys

# Flags are read with absl before anything else; the other packages that are missing are
# named by `shared.program`.
if importlib.util.find_spec("absl") is None:
    sys.exit("error: absl-py is not installed: pip install 'sinkhorn_tf[pipelines]'")
