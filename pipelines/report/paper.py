"""The numbers of Mena et al. (2018), as they are printed there."""

import re

# Table 1: P.W. and P.A.W. in the intervals of `pipelines.shared.lists.INTERVALS`.
SORTING = {
    "sorting_n80": [
        (".0", ".0"),
        (".0", ".0"),
        (".0", ".01"),
        (".0", ".01"),
        (".0", ".08"),
        (".02", ".65"),
        (".22", "1."),
    ],
    "sorting_n100": [
        (".0", ".0"),
        (".0", ".02"),
        (".0", ".02"),
        (".0", ".04"),
        (".0", ".08"),
        (".09", ".99"),
        (".39", "1."),
    ],
    "sorting_n120": [
        (".0", ".01"),
        (".0", ".03"),
        (".0", ".04"),
        (".0", ".08"),
        (".1", ".6"),
        (".12", "1."),
        (".49", "1."),
    ],
}

# Table 2: P.W., P.A.W., Kendall tau, l1, l2.
_JIGSAW = {
    "mnist_2x2": (".0", ".0", "1.", ".0", ".0"),
    "mnist_3x3": (".09", ".28", ".83", ".0", ".0"),
    "mnist_4x4": (".45", ".97", ".43", ".04", ".26"),
    "mnist_5x5": (".45", "1.", ".39", ".02", ".18"),
    "mnist_6x6": (".59", "1.", ".27", ".03", ".19"),
    "celeba_2x2": (".0", ".0", "1.0", ".0", ".0"),
    "celeba_3x3": (".03", ".09", ".96", ".01", ".11"),
    "celeba_4x4": (".1", ".36", ".88", ".04", ".18"),
    "celeba_5x5": (".21", ".73", ".78", ".08", ".24"),
    "imagenet_2x2": (".12", ".19", ".85", ".05", ".22"),
    "imagenet_3x3": (".26", ".53", ".73", ".12", ".31"),
}


def jigsaw(row):
    """P.W., P.A.W., Kendall tau, l1 and l2 of a row like "jigsaw_mnist_3x3_paper"."""
    match = re.fullmatch(r"jigsaw_(\w+_\d+x\d+)_(paper|context)(_tuned)?", row)
    return _JIGSAW.get(match.group(1), ()) if match else ()


# Section 4.3: the share of MNIST digits that a judge accepts, assembled as another one.
ASSEMBLY = ".851"
