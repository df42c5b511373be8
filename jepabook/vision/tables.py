"""Tables of images: which files and which columns of them are meant, and the rest by name."""

import os
import re
from collections import Counter

from jepabook._support.regular import shown
from jepabook.vision import layout
from jepabook.vision.survey import alike

IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "picture")
LABEL_COLUMNS = ("label", "labels", "class", "cls", "fine_label", "target")
OTHER_COLUMN, NO_TABLE = "another column", "no table"
MOST_CLASSES = 2**31
_SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)(-[0-9a-f]{8,})?")


def chosen(path, names, split):
    """Those of a folder's tables that are of a split.

    Parameters
    ----------
    path : Path
    names : list of str
        Relative to the folder.
    split : str or None
        None for ``train`` where there are splits.

    Returns
    -------
    names : list of str
    split : str or None
    others : list of str

    Raises
    ------
    ValueError
        In one line, where files do not tell their split, or several readings remain.
    """
    of, places = {}, set()
    for name in names:
        folders, stem = os.path.split(os.path.splitext(name)[0])
        folders = folders.split(os.sep) if folders else []
        shard = _SHARD.fullmatch(stem)
        of[name] = shard[1] if shard else layout.split_of(stem)
        if of[name] is None and layout.hinted(stem):  # train_extra is not train
            of[name] = stem.rstrip("_-. 0123456789")
        if of[name] is None:
            telling = [folder for folder in folders if layout.hinted(folder)]
            of[name] = telling[-1] if telling else None
            folders = [folder for folder in folders if folder not in telling[-1:]]
        places.add(os.sep.join(folders))
    if len(places) > 1:
        told = layout.some(sorted(place or "." for place in places))
        raise ValueError(
            f"{shown(path)} must hold tables of one kind, got them in the folders {told}: take one "
            "of these as the source"
        )
    _refuse_copies(path, names)
    splits = sorted({name for name in of.values() if name is not None})
    silent = [name for name in names if of[name] is None]
    if silent and splits:
        raise ValueError(
            f"{shown(path)} must hold tables whose names all tell the split or none does, got "
            f"{layout.some(silent)} beside the splits {layout.some(splits)}"
        )
    if not splits:
        if split is not None:
            raise ValueError(
                f"split must be left out where no table's name tells one, got {split!r} for "
                f"{layout.some(names)} in {shown(path)}"
            )
        return names, None, []
    split = layout.chosen(path, split, splits)
    taken = [name for name in names if of[name] == split]
    _refuse_missing(path, taken)
    return taken, split, [name for name in names if of[name] != split]


def refuse_other_split(path, split):
    """Raise ValueError where a single table's name does not tell the split that is asked for."""
    stem = os.path.splitext(os.path.basename(path))[0]
    shard = _SHARD.fullmatch(stem)
    told = shard[1] if shard else stem
    same = layout.hinted(told) or told, layout.hinted(split) or split
    if same[0] != same[1]:
        raise ValueError(f"split must be what {shown(path)} is by its name, got {split!r}")


def _refuse_copies(path, names):
    """Raise ValueError where two tables have names as a copy has that of its original."""
    plain = [os.path.splitext(name)[0] for name in names]
    same = Counter(map(alike, plain))
    if twins := [n for n, stem in zip(names, plain, strict=True) if same[alike(stem)] > 1]:
        raise ValueError(
            f"{shown(path)} must hold every table once, got {layout.some(twins)}: move one away"
        )


def _refuse_missing(path, names):
    """Raise ValueError unless files that are numbered ``k-of-n`` are there from first to last."""
    shards = [_SHARD.fullmatch(os.path.splitext(os.path.basename(name))[0]) for name in names]
    if not any(shards):
        return
    if not all(shards) or len({shard[3] for shard in shards}) > 1:
        raise ValueError(f"{shown(path)} must hold a split once, got {layout.some(names)}")
    numbers, count = sorted(int(shard[2]) for shard in shards), int(shards[0][3])
    first = int(numbers[-1] == count)  # some count from 1
    if numbers != list(range(first, first + count)):
        missing = sorted(set(range(first, first + count)) - set(numbers))
        what = f"{len(missing)} of {count} are missing" if missing else "some are there twice"
        raise ValueError(f"{shown(path)} must hold all parts of a table, got {what}: {names[0]}")


class Columns:
    """The column of images and that of labels.

    Parameters
    ----------
    name : str
        Of the table, for errors.
    features : datasets.Features
    image, label : str or None
        Names of columns; None for the one that is meant if there is only one, or one of them is
        called ``image`` or ``label``. No label is wanted where `label` is "".

    Attributes
    ----------
    image : str
    label : str or None
    classes : list of str or None
        Names, where the table tells them.
    others : list of (str, str)
        The columns that are left out, and why.
    """

    def __init__(self, name, features, image=None, label=None):
        import datasets

        kinds = {column: _kind(feature) for column, feature in features.items()}
        for argument, column in (("column", image), ("label", label)):
            if column and column not in kinds:
                raise ValueError(f"{argument} must be one of {list(kinds)}, got {column!r}")
        typed = [column for column, kind in kinds.items() if kind == "image"]
        named = [c for c, kind in kinds.items() if kind == "bytes" and c.lower() in IMAGE_COLUMNS]
        self.image = image or _one("column", "image", name, typed + named)
        if self.image is None:
            told = layout.some([f"{column} ({kind})" for column, kind in kinds.items()])
            raise ValueError(
                f"{name} must have a column of encoded images, such as 'image', got {told}"
            )
        if kinds[self.image] not in ("image", "bytes"):
            kind = kinds[self.image]
            raise ValueError(f"column must hold encoded images, got {self.image!r} of {kind}")
        numbered = [
            column
            for column, kind in kinds.items()
            if kind == "classes" or (kind == "integers" and column.lower() in LABEL_COLUMNS)
        ]
        self.label = _one("label", "label", name, numbered) if label is None else label or None
        if self.label and kinds[self.label] not in ("classes", "integers"):
            raise ValueError(f"label must be numbers, got {self.label!r} of {kinds[self.label]}")
        feature = features[self.label] if self.label else None
        self.classes = list(feature.names) if isinstance(feature, datasets.ClassLabel) else None
        self.others = [
            (f"column {column} ({kind})", OTHER_COLUMN)
            for column, kind in kinds.items()
            if column not in (self.image, self.label)
        ]

    def number(self, value, place):
        """A label as a class number, -1 for none; ValueError where it is out of range."""
        most = MOST_CLASSES if self.classes is None else len(self.classes)
        if value is not None and not -1 <= value < most:
            raise ValueError(f"{place} must have a label from -1 to {most - 1}, got {value}")
        return -1 if value is None else int(value)


def _one(argument, best, name, columns):
    """The one of some columns that is meant, or None where there are none."""
    if len(columns) > 1 and best not in columns:
        told = " and ".join(map(shown, columns))
        raise ValueError(f"{argument} must say which of {told} in {name} is meant, got none")
    return best if best in columns else columns[0] if columns else None


def _kind(feature):
    import datasets

    if isinstance(feature, datasets.Image):
        return "image"
    if isinstance(feature, datasets.ClassLabel):
        return "classes"
    if isinstance(feature, dict):
        return "bytes" if "bytes" in feature else "fields"
    if not isinstance(feature, datasets.Value):
        return "lists"
    if feature.dtype.startswith(("int", "uint")):
        return "integers"
    words = {"binary": "bytes", "large_binary": "bytes", "string": "text", "large_string": "text"}
    return words.get(feature.dtype, feature.dtype)
