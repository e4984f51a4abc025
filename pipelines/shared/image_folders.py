"""The images of a directory tree, and sentences about all that is passed over."""

import collections
import os
import stat
from typing import NamedTuple

from pipelines.shared.errors import UserError
from pipelines.shared.image_files import KINDS, SUFFIXES, shown

# Suffixes of pictures that people have in their folders but that cannot be read here.
_OTHERS = """
    3fr apng arw avif avifs bpg cr2 cr3 crw dds dib djvu dng emf eps exr fits flif hdr
    heic heics heif heifs hif icns ico j2c j2k jfi jif jls jng jp2 jpc jpf jpm jpx jxl
    jxr kdc mng mpo mrw nef nrw orf pam pbm pcx pef pfm pgm pict pnm ppm psb psd qoi raf
    raw rgb rw2 rwl sgi sr2 srf srw svg svgz tga wbmp wdp wmf x3f xbm xcf xpm
"""
_OTHER_SUFFIXES = frozenset(f".{suffix}" for suffix in _OTHERS.split())


class ImageFolder(NamedTuple):
    """The images of a directory tree.

    Attributes:
        names: The relative paths with `/`, sorted. A link that leads nowhere counts as
            an image that cannot be read.
        passed_over: One sentence for each kind of thing that was passed over.
        folders: Set of the `(device, inode)` of every folder that was entered.
    """

    names: list
    passed_over: list
    folders: set


def find_images(root):
    """Finds the images of a directory tree.

    Links to folders are followed. Each folder is entered once, under its own name if
    it is in the tree, else under the name of the first link to it in sorted order; a
    link to a folder that contains the link is not followed.

    Args:
        root: A folder.

    Returns:
        An `ImageFolder`.

    Raises:
        UserError: If the folder cannot be read.
    """
    walk = _Walk(os.fspath(root))
    try:
        os.listdir(root)
    except OSError as error:
        raise UserError(f"{shown(root)} cannot be read: {error.strerror}.") from error
    walk.enter("")
    # Links come last, so that a folder in the tree keeps its own name.
    while walk.links:
        walk.follow(walk.links.popleft())
    return ImageFolder(sorted(walk.names), walk.passed_over(), walk.folders)


class _Walk:
    """A walk through a directory tree below `root`."""

    def __init__(self, root):
        self.root = root
        self.names = []
        self.links = collections.deque()
        self.folders = set()
        self._others = collections.Counter()
        self._unreadable = []
        self._repeated = []

    def enter(self, folder):
        """Walks through `folder`, a path relative to `root`, and what is below it."""
        waiting = [folder]
        links = []
        while waiting:
            folder = waiting.pop()
            path = os.path.join(self.root, folder)
            try:
                this = folder_identity(path)
                if this in self.folders:
                    self._repeated.append(shown(folder))
                    continue
                self.folders.add(this)
                with os.scandir(path) as entries:
                    for entry in entries:
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        self._take(entry, name, waiting, links)
            except OSError as error:
                self._unreadable.append(f"{shown(folder)} ({error.strerror})")
        self.links.extend(sorted(links))

    def _take(self, entry, name, folders, links):
        try:
            kind = entry.stat().st_mode
        except OSError:
            # The link leads nowhere, or in a circle.
            kind = stat.S_IFREG
        if stat.S_ISDIR(kind):
            (links if entry.is_symlink() else folders).append(name)
            return
        suffix = os.path.splitext(entry.name)[1].lower()
        if suffix in SUFFIXES and stat.S_ISREG(kind):
            self.names.append(name)
        elif suffix in SUFFIXES or suffix in _OTHER_SUFFIXES:
            self._others[suffix] += 1

    def follow(self, link):
        """Walks through the folder that a link leads to."""
        path = os.path.join(self.root, link)
        real, holder = os.path.realpath(path), os.path.realpath(os.path.dirname(path))
        if os.path.commonpath([real, holder]) == real:
            self._repeated.append(shown(link))
        else:
            self.enter(link)

    def passed_over(self):
        """The sentences of `ImageFolder.passed_over`."""
        sentences = []
        if self._others:
            count = sum(self._others.values())
            kinds = ", ".join(f"{n} {suffix}" for suffix, n in self._sorted_others())
            sentences.append(
                f"{count} {_plural(count, 'file')} of kinds that are not read "
                f"({kinds}); the kinds that are read are {KINDS}."
            )
        for paths, pattern in (
            (self._repeated, "linked {} that {} in the tree already"),
            (self._unreadable, "{} that cannot be entered"),
        ):
            if paths:
                count = len(paths)
                text = pattern.format(
                    _plural(count, "folder"), "is" if count == 1 else "are"
                )
                sentences.append(f"{count} {text}: {', '.join(sorted(paths))}.")
        return sentences

    def _sorted_others(self):
        return sorted(self._others.items(), key=lambda item: (-item[1], item[0]))


def folder_identity(path):
    """The pair `(device, inode)`, which no two folders share."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _plural(count, noun):
    return noun if count == 1 else f"{noun}s"
