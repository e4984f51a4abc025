"""The site: Sphinx with furo, every page with code executed in the build.

`python -m sphinx -W docs docs/_build`, from the root of a clone with the extra `docs`.
"""

import dataclasses
import inspect
import os
import pathlib
import re
import sys
import tempfile

from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

from sinkhorn_tf.version import __version__

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent

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
    # Formulas are shown where there is no network, too.
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "_templates", "conf.py", "inventories"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "sinkhorn_tf"
html_theme_options = {"source_edit_link": None}

# A page that is a Python script in cells runs alone, too: `python docs/guides/NAME.py`.
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
# Every example is executed in this build; an error in one fails it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_output_stderr = "remove"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3

# A name in single backticks in a docstring links to what bears it, if anything does.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", "(?s).*"),
    ("py:exc", "(Type|Value|NotImplemented)Error"),
]
autodoc_typehints = "none"
# Methods that override one of Keras do not repeat what Keras says of it.
autodoc_inherit_docstrings = False
autosummary_generate = True
autosummary_ignore_module_all = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False
napoleon_custom_sections = [("Call arguments", "params_style"), "Reference"]

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
bibtex_reference_style = "author_year_round"

# Kernels inherit these.
os.environ |= {
    "KERAS_BACKEND": "tensorflow",
    # Another backend in the caller's environment would leave pages without pictures.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
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


def _round_brackets():
    return BracketStyle(left="(", right=")")


@dataclasses.dataclass
class RoundReferenceStyle(AuthorYearReferenceStyle):
    """Mena et al. (2018)."""

    bracket_parenthetical: BracketStyle = dataclasses.field(
        default_factory=_round_brackets
    )
    bracket_textual: BracketStyle = dataclasses.field(default_factory=_round_brackets)
    bracket_author: BracketStyle = dataclasses.field(default_factory=_round_brackets)
    bracket_label: BracketStyle = dataclasses.field(default_factory=_round_brackets)
    bracket_year: BracketStyle = dataclasses.field(default_factory=_round_brackets)


register_plugin(
    "sphinxcontrib.bibtex.style.referencing", "author_year_round", RoundReferenceStyle
)


# The papers that docstrings name, and their keys in references.bib.
_PAPERS = {
    "Cuturi et al. (2019)": "cuturi2019",
    "Mena et al. (2018)": "mena2018",
    "Sarlin et al. (2020)": "sarlin2020",
    "Weed (2018)": "weed2018",
    "Xie et al. (2020)": "xie2020topk",
}


def _edit_docstring(app, what, name, value, options, lines):
    """Links papers, and makes a heading of an `Example:` whose text is not indented."""
    text = re.sub(
        r"^Example:\n\n",
        ".. rubric:: Example\n\n",
        "\n".join(lines),
        flags=re.MULTILINE,
    )
    for paper, key in _PAPERS.items():
        # A name may be broken over two lines.
        pattern = r"\s+".join(map(re.escape, paper.split()))
        text = re.sub(pattern, f":cite:t:`{key}`", text)
    lines[:] = text.split("\n")


def _signature_of_init(app, what, name, value, options, signature, return_annotation):
    """The signature of a layer is that of its constructor, not of Keras' `__new__`."""
    if what == "class" and inspect.isfunction(value.__init__):
        parameters = list(inspect.signature(value.__init__).parameters.values())[1:]
        bare = [each.replace(annotation=each.empty) for each in parameters]
        return str(inspect.Signature(bare)), None
    return None


def _resolve_from_the_top(app, env, node, contnode):
    """A name in backticks that its module lacks: one of the package, also as `st.name`."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removeprefix("st.")
    domain = env.domains["py"]
    return domain.resolve_xref(
        env,
        node["refdoc"],
        app.builder,
        node["reftype"],
        f"sinkhorn_tf.{target}",
        node,
        contnode,
    )


def setup(app):
    # It copies files and sets an address, but does not say that it is safe with `-j`.
    for name in ("parallel_read_safe", "parallel_write_safe"):
        setattr(app.extensions["sphinx-mathjax-offline"], name, True)
    # Before Napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", _edit_docstring, priority=400)
    app.connect("autodoc-process-signature", _signature_of_init)
    app.connect("missing-reference", _resolve_from_the_top)
