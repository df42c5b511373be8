"""Which folders are classes and which are splits: what is understood is taken, the rest refused."""

import os
import re
from collections import Counter

from jepabook._support.regular import shown
from jepabook.vision.decoding import NO_IMAGE
from jepabook.vision.survey import alike

STRAY, NO_CLASS, OTHER = "outside the class folders", "folder without images", "of another split"
SPLITS = {
    "train": "train training trn",
    "validation": "validation valid val dev development",
    "test": "test testing tst holdout heldout",
    "eval": "eval evaluation",
}
_WORDS = {word: split for split, words in SPLITS.items() for word in words.split()}
_THINGS = r"(set|data|dataset|images?|imgs?|files?|split|folder)?"
_SPLIT = re.compile(rf"[\W_]*({'|'.join(_WORDS)})[\W_]*{_THINGS}[\W_\d]*")
_PLAIN = re.compile(r"images?|imgs?|jpe?gs?|pngs?|photos?|pictures?|pics?|frames?|data|files?")
_FOLD = re.compile(r"(fold|split|cv)[\W_]*\d+")


def split_of(name):
    """The split that a folder's name is the usual word for, or None."""
    name = name.casefold()
    found = _SPLIT.fullmatch(name)
    return _WORDS[found[1]] if found else name if _FOLD.fullmatch(name) else None


def hinted(name):
    """The split that one word of a longer name tells, as ``seg_train`` does, or None."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    found = {_WORDS[word.casefold()] for word in words if word.casefold() in _WORDS}
    return split_of(name) or (found.pop() if len(found) == 1 else None)


def chosen(path, wanted, names):
    """The one of the splits' names that is wanted; ``train`` where that is None.

    Names that mean the same, such as ``val`` and ``validation``, stand for each other.
    """
    if wanted in names:
        return wanted
    split = hinted("train" if wanted is None else wanted) or wanted
    same = [name for name in names if (hinted(name) or name) == split]
    told = ", ".join(map(shown, names))
    if len(same) > 1:
        these = ", ".join(map(shown, same))
        raise ValueError(f"split must say which of {these} in {shown(path)}, got {wanted!r}")
    if not same:
        raise ValueError(f"{shown(path)} must hold {split!r}, got the splits {told}")
    return same[0]


class Layout:
    """Class folders among the files that a survey of `path` found.

    Parameters
    ----------
    path : Path
    found : survey.Survey
    split : str or None
        None for ``train`` where there are splits.
    class_depth : int or None
        How many folders' names make a class, whatever they are; None: one, or one inside each
        split, where all folders' names say so.

    Attributes
    ----------
    split : str or None
        The name of the split that was chosen.
    classes : list of str
        In the order of their names; where there is a ``train`` beside the split, those of it.
    rows : list of (int, int)
        Class and number in ``found.files`` of every image.
    left : list of (str, str)
        What else there is, and why it is none.
    within : list of str
        Images that lie in folders inside a class folder.

    Raises
    ------
    ValueError
        In one line with the ways out, where there are no classes, or several readings.
    """

    def __init__(self, path, found, split, class_depth):
        self.path, self.found, self.split = path, found, None
        parts = [tuple(name.split(os.sep)) for name in found.files]
        base, splits = (), []
        if class_depth is None:
            tops = _tops(parts)
            splits = self._splits(tops)
            if splits:
                self.split = chosen(path, split, splits)
                base = (self.split,)
        if split is not None and not self.split:
            inside = f"the classes {some(_tops(parts, class_depth or 1))}"
            raise ValueError(
                f"split must be left out where {shown(path)} is not divided, got {split!r}: it "
                f"holds {inside}"
            )
        depth = class_depth or 1
        classes = self._classes(parts, base, depth, strict=class_depth is None)
        if self.split and hinted(self.split) != "train":
            trained = [name for name in splits if hinted(name) == "train"]
            if len(trained) == 1:
                classes = self._as_in(trained[0], parts, classes)
        self.classes = ["/".join(name) for name in classes]
        number = {name: label for label, name in enumerate(classes)}
        start, end = len(base), len(base) + depth
        self.rows, self.left, self.within = [], [], []
        for row, part in enumerate(parts):
            if part[:start] != base:
                if len(part) == 1:
                    self.left.append((part[0], STRAY))
            elif len(part) > end:
                self.rows.append((number[part[start:end]], row))
                if len(part) > end + 1:
                    self.within.append(found.files[row])
            else:
                self.left.append((found.files[row], STRAY))
        # a survey's order is that of whole paths, where "a b/" comes before "a/"
        self.rows.sort()
        self.left += self._rest(found, base, end, splits)
        self.left.sort()

    def _splits(self, tops):
        """The names of the folders that are splits; none where the folders are classes."""
        named = [name for name in tops if split_of(name)]
        if tops and len(named) == len(tops):
            return tops
        if len(tops) > 1 and all(map(hinted, tops)):
            return tops
        if named:
            others = [name for name in tops if name not in named]
            raise ValueError(
                f"{shown(self.path)} must hold splits or classes, got {some(named)} beside "
                f"{some(others)}: take {shown(os.path.join(self.path, named[0]))} as the source if "
                "that is a split, or say --class-depth 1 if all of them are classes"
            )
        return []

    def _classes(self, parts, base, depth, strict):
        """The names of the class folders below `base`, each a tuple."""
        place = os.path.join(self.path, *base)
        inside = [part[len(base) :] for part in parts if part[: len(base)] == base]
        direct = [part for part in inside if len(part) <= depth]
        names = sorted({part[:depth] for part in inside if len(part) > depth})
        if not names:
            others = [name for name, _ in self.found.left]
            told = f"got none among {some(others)}" if others else "got none"
            if direct:
                first = some([part[-1] for part in direct], 2)
                told = f"got {len(direct)} images outside of such folders ({first})"
            raise ValueError(f"{shown(place)} must hold one folder of images per class, {told}")
        if not strict:
            return names
        alone = f"{shown(place)} as the source with --class-depth 1"
        if direct:
            raise ValueError(
                f"{shown(place)} must hold images in class folders only, got {len(direct)} beside "
                f"them ({some([part[-1] for part in direct])}): move them, or take {alone}, which "
                "leaves them out"
            )
        same = Counter(alike(name) for (name,) in names)
        if twins := [name for (name,) in names if same[alike(name)] > 1]:
            raise ValueError(
                f"{shown(place)} must hold classes of different names, got {some(twins)}: rename "
                f"or merge them, or take {alone} if all are classes"
            )
        for (name,) in names:
            folders = {part[1:-1] for part in inside if part[0] == name}
            deeper = sorted({folder[0] for folder in folders if folder})
            plain = () in folders or all(_is_plain(folder, name) for folder in folders)
            if not plain or len(deeper) > 1 > (() in folders) or any(map(split_of, deeper)):
                raise ValueError(
                    f"{shown(place)} must hold images in its class folders, got folders of images "
                    f"({some(deeper)}) inside {shown(name)}: take the folder of classes as the "
                    f"source, perhaps {shown(os.path.join(place, name))}, or {shown(place)} with "
                    "--class-depth 1 or 2 if the outer or the inner folders are the classes"
                )
        return names

    def _as_in(self, train, parts, classes):
        """The classes of the split to train on, where they are others than those of this one."""
        known = self._classes(parts, (train,), 1, strict=True)
        new = [os.path.join(*name) for name in classes if name not in known]
        if new:
            place = os.path.join(self.path, self.split)
            raise ValueError(
                f"{shown(place)} must hold classes of {shown(train)}, got {some(new)}: to give "
                f"it numbers of its own, take {shown(place)} itself as the source"
            )
        return known

    def _rest(self, found, base, end, splits):
        """What is no image, with the reason; of another split only its folder's name."""
        full = {tuple(name.split(os.sep)[:end]) for name in found.files}
        for name in found.folders:
            part = tuple(name.split(os.sep)) if name else ()
            if base and len(part) == 1 and part != base:
                yield f"{name}/", OTHER if name in splits else NO_CLASS
            elif len(part) == end and part[: len(base)] == base and part not in full:
                yield f"{name}/", NO_CLASS
        for name, reason in found.left:
            part = tuple(name.rstrip("/").split(os.sep))
            if len(part) == 1 or part[: len(base)] == base:
                yield name, STRAY if len(part) <= end and reason == NO_IMAGE else reason


def _is_plain(folders, name):
    """Whether the names of folders inside the class folder `name` say no more than that."""
    return all(_PLAIN.fullmatch(folder.casefold()) or folder == name for folder in folders)


def _tops(parts, depth=1):
    return sorted({os.path.join(*part[:depth]) for part in parts if len(part) > depth})


def some(names, most=4):
    """Some names, in a few words."""
    told = ", ".join(map(shown, names[:most]))
    return told + (f", ... ({len(names)})" if len(names) > most else "")
