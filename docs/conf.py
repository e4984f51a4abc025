"""The site: Sphinx with furo, every page with code executed in the build.

`python -m sphinx -W docs docs/_build`, from the root of a clone with the extra `docs`.
"""

import os
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent

from sinkhorn_tf.version import __version__  # noqa: E402

project = "sinkhorn_tf"
author = "The sinkhorn_tf maintainers"
copyright = "the sinkhorn_tf maintainers, Apache License 2.0"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "conf.py", "inventories"]
html_theme = "furo"
html_title = "sinkhorn_tf"
html_static_path = ["_static"]
html_theme_options = {"source_edit_link": None}

# A page that is a Python script in cells runs alone, too: `python docs/guides/NAME.py`.
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
# Every example is executed in this build; an error in one fails it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

# A name in single backticks in a docstring links to what bears it, if anything does.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:obj", ".*"), ("py:exc", "(Type|Value|NotImplemented)Error")]
autodoc_typehints = "none"
autosummary_generate = True
autosummary_ignore_module_all = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False

intersphinx_disabled_reftypes = ["std:doc"]
intersphinx_mapping = {
    name: (url, f"inventories/{name}.inv")
    for name, url in {
        "keras": "https://keras.io/api/",
        "numpy": "https://numpy.org/doc/stable/",
        "scipy": "https://docs.scipy.org/doc/scipy/",
        "tensorflow": "https://www.tensorflow.org/api_docs/python/",
    }.items()
}
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

# Kernels inherit these.
os.environ |= {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MATPLOTLIBRC": str(ROOT / "pipelines/shared/matplotlibrc"),
    "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:2]]),
    # The kernel of IPython writes its history here.
    "IPYTHONDIR": tempfile.mkdtemp(prefix="ipython"),
}
_profile = pathlib.Path(os.environ["IPYTHONDIR"], "profile_default")
_profile.mkdir()
(_profile / "ipython_kernel_config.py").write_text(
    "c.InlineBackend.figure_formats = {'svg'}\n"
    "c.InlineBackend.rc = {}\n"
    "c.InlineBackend.print_figure_kwargs = {'bbox_inches': 'tight'}\n",
    encoding="utf-8",
)
