"""Names of the results of a folder of images, all of them different."""

import itertools
import unicodedata


def beside(path):
    """The path of the scrambled image whose solution goes to `path`."""
    return path.with_name(f"{path.stem}_scrambled{path.suffix}")


def result_names(names, scrambled):
    """Names the results of images, `a/one.bmp` to `a/one.png`.

    Names count as the same if a file system might take them for one another, such as
    those in upper and lower case. Such a name belongs to a PNG, or else to the first image
    in the order of `names`; the results of the others keep the suffix: `one_bmp.png`, and
    if that exists already, `one_bmp_2.png`.

    Args:
        names: Distinct relative paths, `pathlib.PurePath`.
        scrambled: Whether each result has another image beside it, `beside(result)`.

    Returns:
        A list of relative paths in the order of `names`.
    """
    # The names of folders are taken, too.
    taken = {_key(parent) for name in names for parent in name.parents}
    results = {}

    def take(name, result):
        keys = {_key(result)} | ({_key(beside(result))} if scrambled else set())
        if keys & taken:
            return False
        taken.update(keys)
        results[name] = result
        return True

    first_pngs = sorted(names, key=lambda name: name.suffix.lower() != ".png")
    rest = [name for name in first_pngs if not take(name, name.with_suffix(".png"))]
    for name in rest:
        stem = f"{name.stem}_{name.suffix[1:]}"
        for count in itertools.count(1):
            ending = "" if count == 1 else f"_{count}"
            if take(name, name.with_name(f"{stem}{ending}.png")):
                break
    return [results[name] for name in names]


def _key(path):
    return unicodedata.normalize("NFC", str(path)).casefold()
