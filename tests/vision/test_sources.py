"""What is on disk is not all data: what is taken is understood, the rest named, or refused."""

import io
import itertools
import json
import os
import shutil
import socket
import threading
import unicodedata
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from jepabook.vision import convert, decoding, images, layout, sources, stored, survey

SIZE = 8


def picture(seed=0, kind="PNG", side=10, **options):
    """The bytes of an image file."""
    rng, file = np.random.default_rng(seed), io.BytesIO()
    image = Image.fromarray(rng.integers(256, size=(side, side, 3), dtype=np.uint8))
    image.save(file, kind, **options)
    return file.getvalue()


PICTURE = picture()


def tree(root, *names, content=PICTURE):
    """Files of these names, with their folders; a name that ends in a slash is a folder."""
    for name in names:
        path = Path(os.path.join(root, name))
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content if path.suffix.lower() in IMAGES else b"words")
    return Path(root)


IMAGES = {".jpg", ".png", ".jpeg", ".webp", ""}


def run(source, folder, **changes):
    return convert.convert(source, folder, **{"size": SIZE, "chunk": 4, "workers": 2} | changes)


def counts(facts):
    """Images of each class."""
    return {entry["name"]: entry["train"] + entry["test"] for entry in facts["labels"]}


def left(folder):
    """All that was left out: the reason of every name."""
    lines = (Path(folder) / "left-out.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    names = {line["name"]: line["reason"] for line in told}
    assert len(names) == len(lines)
    return names


def refused(source, folder, **changes):
    """The one-line message with which a source is refused, before anything is made."""
    with pytest.raises(ValueError) as caught:
        run(source, folder, **changes)
    told = str(caught.value)
    assert told.isprintable() and len(told) < 700 and not Path(folder).exists()
    return told


PLAIN = ["cat/1.png", "cat/2.png", "dog/1.png"]


# what tools leave, and what is no data


@pytest.mark.parametrize(
    "name",
    [
        *(".ipynb_checkpoints/1-checkpoint.png", "__MACOSX/cat/._1.png", "@eaDir/1.png/1.jpg"),
        *(".git/objects/ab/cd", ".thumbnails/1.png", "__pycache__/x.png", "lost+found/1.png"),
        *("$RECYCLE.BIN/1.png", ".Trash-1000/1.png", ".cache/1.png", "System Volume Information/a"),
        *(
            ".DS_Store",
            "Thumbs.db",
            "desktop.ini",
            "cat/._1.png",
            "cat/.2.png.swp",
            "#recycle/1.png",
        ),
        *("cat/1.png~", "cat/1.png.part", "cat/1.jpg.crdownload", "dog.bak/1.png", "cat/THUMBS.DB"),
        *("cat/.ipynb_checkpoints/2.png", "cat/@eaDir/2.png"),
    ],
)
def test_what_a_tool_left_is_named_and_no_class(tmp_path, name):
    right = run(tree(tmp_path / "in", *PLAIN), tmp_path / "right")
    assert counts(right) == {"cat": 2, "dog": 1}
    tree(tmp_path / "in", name)
    facts = run(tmp_path / "in", tmp_path / "out")
    assert (
        facts["identity"] == right["identity"]
        and facts["sha256"]["labels"] == right["sha256"]["labels"]
    )
    (told, reason), *more = left(tmp_path / "out").items()
    assert reason == survey.TOOL and name.startswith(told.rstrip("/")) and not more
    assert facts["skipped"] == {survey.TOOL: {"count": 1, "first": [told]}}


def test_folders_without_images_are_no_classes_and_all_files_are_named(tmp_path):
    tree(tmp_path / "in", *PLAIN, "annotations/1.xml", "bird/", "a.zip", "labels.csv", "cat/n.txt")
    tree(tmp_path / "in", "cat/3", "dog/2.JPEG")  # a name without a suffix, one in capitals
    (tmp_path / "in" / "dog" / "3.txt").write_bytes(picture(3, "JPEG"))  # a wrong suffix
    facts = run(tmp_path / "in", tmp_path / "out")
    assert counts(facts) == {"cat": 3, "dog": 3} and facts["classes"] == ["cat", "dog"]
    assert left(tmp_path / "out") == {
        "annotations/": layout.NO_CLASS,
        "annotations/1.xml": decoding.NO_IMAGE,
        "bird/": layout.NO_CLASS,
        "a.zip": layout.STRAY,
        "labels.csv": layout.STRAY,
        "cat/n.txt": decoding.NO_IMAGE,
    }


def test_more_than_a_few_names_are_all_in_the_list_and_few_in_the_facts(tmp_path, capsys):
    names = [f"cat/{number:03}.txt" for number in range(60)]
    tree(tmp_path / "in", *PLAIN, *names)
    assert convert.main([str(tmp_path / "in"), str(tmp_path / "out"), "--size", "8"]) == 0
    told = capsys.readouterr().out
    assert left(tmp_path / "out") == dict.fromkeys(names, decoding.NO_IMAGE)
    facts = json.loads((tmp_path / "out" / "images.json").read_text())
    assert facts["skipped"]["not an image"] == {"count": 60, "first": names[:5]}
    assert f"skipped, not an image: 60 ({', '.join(names[:5])}, ...)\n" in told
    assert f"all that was skipped: {tmp_path / 'out' / 'left-out.jsonl'}\n" in told
    assert "images of each class: cat 2, dog 1\n" in told


def test_names_of_all_kinds_are_told_in_printable_letters(tmp_path, capsys):
    odd = b"in/a\xff\n\x1b[31m", b"in/\xc3\xa9 \xe2\x80\xae/x\n.txt"
    for name in (odd[0] + b"/1.png", odd[1].rsplit(b"/", 1)[0] + b"/1.png"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path))
        Path(os.fsdecode(path)).write_bytes(PICTURE)
    Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), odd[1]))).write_bytes(b"x")
    assert convert.main([str(tmp_path / "in"), str(tmp_path / "out"), "--size", "8"]) == 0
    told = capsys.readouterr().out
    assert told.replace("\n", "").isprintable() and r"a\udcff\n\x1b[31m 1" in told
    found = images.opened(tmp_path / "out", verify=True)
    assert found.labels["class"].tolist() == [0, 1]
    facts = json.loads((tmp_path / "out" / "images.json").read_text())
    assert facts["classes"] == ["a\udcff\n\x1b[31m", "é \u202e"]
    with pytest.raises(ValueError) as caught:
        run(os.fsdecode(os.path.join(os.fsencode(tmp_path), odd[0])), tmp_path / "other")
    assert str(caught.value).isprintable()


def test_an_output_that_is_not_utf_8_shows_names_in_escapes(tmp_path, monkeypatch):
    tree(tmp_path / "in", "Vögel/1.png", "✓/1.png")
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, "latin-1"))
    assert convert.main([str(tmp_path / "in"), str(tmp_path / "out"), "--size", "8"]) == 0
    assert b"images of each class: V\xf6gel 1, \\u2713 1\n" in shown.getvalue()


def test_classes_are_in_the_order_of_code_points_whatever_the_locale(tmp_path, monkeypatch):
    names = ["Zebra", "apple", "Äpfel", "ape", "10", "9", "a b", "a"]
    tree(tmp_path / "in", *(f"{name}/1.png" for name in names))
    facts = run(tmp_path / "in", tmp_path / "out")
    assert facts["classes"] == sorted(names)
    assert counts(facts) == dict.fromkeys(sorted(names), 1)


# links, and folders that cannot be listed


def test_links_are_followed_once_and_what_leads_nowhere_or_back_is_named(tmp_path):
    tree(tmp_path / "in", *PLAIN)
    tree(tmp_path / "elsewhere", "bird/1.png", "bird/2.png", "more/9.png")
    (tmp_path / "in" / "bird").symlink_to(tmp_path / "elsewhere" / "bird")
    (tmp_path / "in" / "cat" / "more").symlink_to(tmp_path / "elsewhere" / "more")
    (tmp_path / "in" / "cat" / "7.png").symlink_to("1.png")
    for name, target in {"up": "../..", "me": ".", "root": "..", "gone.png": "no"}.items():
        (tmp_path / "in" / "cat" / name).symlink_to(target)
    (tmp_path / "in" / "cat" / "it").symlink_to("it")
    facts = run(tmp_path / "in", tmp_path / "out")
    assert counts(facts) == {"bird": 2, "cat": 4, "dog": 1}
    assert facts["notes"] == {sources.WITHIN: {"count": 1, "first": ["cat/more/9.png"]}}
    assert left(tmp_path / "out") == {
        **dict.fromkeys(("cat/up/", "cat/me/", "cat/root/"), survey.BACK),
        **dict.fromkeys(("cat/gone.png", "cat/it"), decoding.UNREADABLE),
    }


def test_one_folder_under_two_names_is_refused(tmp_path):
    tree(tmp_path / "in", *PLAIN)
    (tmp_path / "in" / "a").symlink_to("dog")
    assert "a and " in refused(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "a").unlink()
    (tmp_path / "in" / "cat" / "a").symlink_to("../dog")
    assert "must be two folders" in refused(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("what", ["scandir", "stat"])
def test_a_folder_that_cannot_be_looked_at_is_an_error(tmp_path, monkeypatch, what):
    tree(tmp_path / "in", *PLAIN, ".hidden/1.png")
    real = getattr(os, what)

    def denied(path, *args, **kwargs):
        if str(path).endswith(("dog", ".hidden")):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, what, denied)
    told = refused(tmp_path / "in", tmp_path / "out")
    assert told.endswith("in/dog must be a folder that can be listed, got Permission denied")


def test_pipes_sockets_and_devices_are_named_and_never_opened(tmp_path, monkeypatch):
    tree(tmp_path / "in", *PLAIN)
    monkeypatch.chdir(tmp_path / "in" / "cat")
    os.mkfifo("pipe.png")
    os.mkfifo("pipe")
    Path("zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket.png")
    Path("folder.png").mkdir()
    facts = run(tmp_path / "in", tmp_path / "out")
    assert counts(facts) == {"cat": 2, "dog": 1}
    names = ("pipe.png", "pipe", "zero.png", "socket.png")
    assert left(tmp_path / "out") == {f"cat/{name}": decoding.UNREADABLE for name in names}
    os.mkfifo(tmp_path / "x.parquet")
    assert refused(tmp_path / "x.parquet", tmp_path / "none").endswith("a file, got a pipe")
    os.mkfifo(tmp_path / "images.json")
    with pytest.raises(ValueError, match=r"images\.json must be a file, got a pipe"):
        images.opened(tmp_path)


def test_a_very_deep_tree_is_read(tmp_path):
    tree(tmp_path / "in", *PLAIN, "dog/" + "d/" * 300 + "9.png")
    assert counts(run(tmp_path / "in", tmp_path / "out")) == {"cat": 2, "dog": 2}


# classes and splits


SPLIT_NAMES = [
    *("train", "Train", "TRAIN", "training", "trainset", "train_set", "train2017", "train-images"),
    *("test", "testing", "Test", "test_set", "val", "valid", "validation", "VAL", "dev", "eval"),
]


@pytest.mark.parametrize("name", SPLIT_NAMES)
def test_a_name_of_a_split_is_no_class(tmp_path, name):
    tree(tmp_path / "in", f"{name}/b/1.png", f"{name}/a/1.png", f"{name}/a/2.png")
    if layout.split_of(name) == "train":
        facts = run(tmp_path / "in", tmp_path / "out")
        assert facts["name"] == f"in/{name}"
    else:
        assert f"'train', got the splits {name}" in refused(tmp_path / "in", tmp_path / "no")
        facts = run(tmp_path / "in", tmp_path / "out", split=layout.split_of(name))
    assert counts(facts) == {"a": 2, "b": 1} and facts["identity"]["source"]["split"] == name
    # among folders of other names nobody can tell
    tree(tmp_path / "mixed", *PLAIN, f"{name}/1.png")
    assert "must hold splits or classes" in refused(tmp_path / "mixed", tmp_path / "other")
    facts = run(tmp_path / "mixed", tmp_path / "classes", class_depth=1)
    assert counts(facts) == {"cat": 2, "dog": 1, name: 1}


@pytest.mark.parametrize(
    ("names", "split", "wanted"),
    [
        (["seg_train/a/1.png", "seg_test/a/2.png"], None, "seg_train"),
        (["seg_train/a/1.png", "seg_test/a/2.png"], "test", "seg_test"),
        (["fold1/a/1.png", "fold2/a/1.png"], "fold2", "fold2"),
        (["val/a/1.png", "train/a/1.png"], "validation", "val"),
        (["dev/a/1.png", "val/a/1.png"], "val", "val"),
    ],
)
def test_a_split_is_found_under_the_names_that_mean_it(tmp_path, names, split, wanted):
    facts = run(tree(tmp_path / "in", *names), tmp_path / "out", split=split)
    assert facts["name"] == f"in/{wanted}"
    others = {name.split("/")[0] for name in names} - {wanted}
    assert left(tmp_path / "out") == {f"{name}/": layout.OTHER for name in others}


REFUSED = {
    "no such split": (["test/a/1.png"], {}, "must hold 'train', got the splits test"),
    "which one": (["val/a/1.png", "dev/a/1.png"], {"split": "valid"}, "must say which of dev, val"),
    "folds": (["fold_1/a/1.png", "fold_2/a/1.png"], {}, "got the splits fold_1, fold_2"),
    "not divided": (PLAIN, {"split": "train"}, "split must be left out"),
    "splits in a folder": (
        ["x/train/a/1.png", "x/val/a/1.png"],
        {},
        "folders of images (train, val",
    ),
    "parts of unknown names": (
        ["p/a/1.png", "p/b/1.png", "q/a/1.png", "q/b/1.png"],
        {},
        "inside p",
    ),
    "a folder inside": (["x/cat/1.png", "y/dog/1.png"], {}, "(cat) inside x"),
    "data": (["data/cat/1.png", "data/dog/1.png"], {}, "in/data, or "),
    "splits in classes": (["cat/train/1.png", "dog/train/1.png"], {}, "(train) inside cat"),
    "also beside images": (["cat/1.png", "cat/test/2.png", "dog/1.png"], {}, "(test) inside cat"),
    "a class": (["1.png", "2.png"], {}, "got 2 images outside of such folders (1.png, 2.png)"),
    "beside classes": ([*PLAIN, "x.png"], {}, "must hold images in class folders only, got 1"),
    "no classes in a split": (["train/1.png", "test/1.png"], {}, "one folder of images per class"),
    "case": (["Cat/1.png", "cat/1.png"], {}, "classes of different names, got Cat, cat"),
    "an empty word": (["train/a/1.png", "val/a/1.png"], {"split": ""}, "must hold ''"),
    "a split by another word": (["development/1.png", "holdout/1.png"], {}, "must hold 'train'"),
    "a copy": (["cat/1.png", "cat (1)/1.png"], {}, "classes of different names, got cat, cat (1)"),
    "a third copy": (["cat/1.png", "cat (3rd copy)/1.png"], {}, "of different names"),
    "another copy": (["cat/1.png", "cat - Copy/1.png"], {}, "of different names"),
    "a table's option": (PLAIN, {"column": "image"}, "column must be left out"),
    "no depth": (PLAIN, {"class_depth": 0}, "class_depth must be an integer >= 1"),
    "too deep": (PLAIN, {"class_depth": 2}, "must hold one folder of images per class, got 3"),
    "more classes than to train on": (
        ["train/a/1.png", "val/b/1.png"],
        {"split": "val"},
        "must hold classes of train, got b",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path, name):
    names, options, start = REFUSED[name]
    assert start in refused(tree(tmp_path / "in", *names), tmp_path / "out", **options)


def test_names_that_only_the_coding_of_letters_tells_apart_are_refused(tmp_path):
    forms = {unicodedata.normalize(form, "café") for form in ("NFC", "NFD")}
    tree(tmp_path / "in", *(f"{name}/1.png" for name in forms))
    assert "of different names" in refused(tmp_path / "in", tmp_path / "out")
    assert len(counts(run(tmp_path / "in", tmp_path / "all", class_depth=1))) == 2


def test_a_split_without_some_classes_numbers_the_others_as_the_training_does(tmp_path):
    tree(tmp_path / "in", "train/a/1.png", "train/b/1.png", "train/c/1.png", "val/c/1.png")
    facts = run(tmp_path / "in", tmp_path / "out", split="val")
    assert facts["classes"] == ["a", "b", "c"] and counts(facts) == {"a": 0, "b": 0, "c": 1}
    assert images.opened(tmp_path / "out").labels["class"].tolist() == [2]
    alone = run(tmp_path / "in" / "val", tmp_path / "alone")
    assert alone["classes"] == ["c"]


def test_classes_may_lie_deeper_where_that_is_plain_or_said(tmp_path):
    tree(tmp_path / "in", "n01/images/1.png", "n01/boxes.txt", "n02/images/1.png")
    facts = run(tmp_path / "in", tmp_path / "out")
    assert counts(facts) == {"n01": 1, "n02": 1}
    assert facts["notes"][sources.WITHIN]["count"] == 2
    tree(tmp_path / "two", "animals/cat/1.png", "animals/dog/1.png", "things/car/x/1.png")
    facts = run(tmp_path / "two", tmp_path / "deep", class_depth=2)
    assert counts(facts) == {"animals/cat": 1, "animals/dog": 1, "things/car": 1}
    facts = run(tmp_path / "two", tmp_path / "flat", class_depth=1)
    assert counts(facts) == {"animals": 2, "things": 1}
    tree(tmp_path / "in", "x.png")
    facts = run(tmp_path / "in", tmp_path / "stray", class_depth=1)
    assert left(tmp_path / "stray")["x.png"] == layout.STRAY


def test_a_path_with_the_letters_of_patterns_is_that_path(tmp_path):
    for name in ("set[12]", "set1", "a*", "ab", "q?", "qq"):
        tree(tmp_path / name, f"{name.strip('[]*?')}-cat/1.png", "zebra/1.png")
    for name in ("set[12]", "a*", "q?"):
        facts = run(tmp_path / name, tmp_path / f"out-{name}")
        assert facts["classes"][0] == f"{name.strip('[]*?')}-cat"


def test_a_wrong_path_never_asks_the_network(tmp_path, monkeypatch):
    def asked(*args, **kwargs):
        raise AssertionError("the network")

    monkeypatch.setattr(socket.socket, "connect", asked)
    monkeypatch.setattr(socket, "getaddrinfo", asked)
    monkeypatch.chdir(tmp_path)
    for words in ("imagenet-1k", "owner/name", "owner/name:config", Path("hub"), "s3://a/b"):
        assert "but there is none" in refused(words, tmp_path / "out")
    for words in ("hub:", "hub:../x", "hub://owner/name"):
        assert refused(words, tmp_path / "out").startswith("source must be hub:owner/name")
    assert "class_depth must be left out" in refused("hub:a/b", tmp_path / "out", class_depth=1)


# images of other kinds


def test_other_formats_and_what_is_left_out_of_an_image_are_told(tmp_path):
    root = tree(tmp_path / "in", "a/1.png", "b/1.png")
    for kind in ("TIFF", "JPEG2000", "AVIF"):
        (root / "a" / kind).write_bytes(picture(1, kind))
    exif = Image.Exif()
    exif[0x0112] = 6
    (root / "a" / "turned.jpg").write_bytes(picture(2, "JPEG", exif=exif))
    frames = [Image.fromarray(np.full((9, 9), value, np.uint8)) for value in (0, 99)]
    frames = [frame.convert("P") for frame in frames]
    frames[0].save(root / "a" / "moving.gif", save_all=True, append_images=frames[1:])
    facts = run(root, tmp_path / "out")
    assert counts(facts) == {"a": 3, "b": 1}
    assert facts["modes"] == {"RGB": 2, "RGB, turned": 1, "P, first frame": 1}
    names = ("a/TIFF", "a/JPEG2000", "a/AVIF")
    assert left(tmp_path / "out") == dict.fromkeys(names, decoding.UNREAD)


POOL = {
    "folders": "train test val Train cat dog images data .git __MACOSX x new extra fold1 cat.bak",
    "files": "1.png 2.JPG 3 n.txt Thumbs.db ._1.png 1.png~ a.json cover.tiff",
}


@pytest.mark.parametrize("seed", range(4))
def test_all_that_lies_in_a_folder_is_an_image_or_named_or_the_folder_is_refused(tmp_path, seed):
    rng = np.random.default_rng(seed)
    pick = {kind: names.split() for kind, names in POOL.items()}
    taken = 0
    for number in range(25):
        root, tops = tmp_path / str(number), rng.choice(pick["folders"], 4)
        for _ in range(rng.integers(3, 12)):
            inner = rng.choice(pick["folders"], rng.choice(3, p=[0.7, 0.2, 0.1]))
            top = [str(rng.choice(tops))] if rng.random() < 0.9 else []
            tree(root, "/".join([*top, *inner, str(rng.choice(pick["files"]))]))
        for depth in (None, 1, 2):
            try:
                found = sources.source(root, class_depth=depth)
            except ValueError as error:
                assert str(error).isprintable()
                continue
            taken += 1
            entries = [entry.name for entry in found.entries(0, None)]
            assert len(set(entries)) == found.total == len(entries)
            named = {name for name, _ in found.left}
            assert len(named) == len(found.left) and not named & set(entries)
            for path in root.rglob("*"):
                told = str(path.relative_to(root)) + "/" * path.is_dir()
                above = {told[: place + 1] for place, letter in enumerate(told) if letter == "/"}
                of_entries = path.is_dir() and any(name.startswith(told) for name in entries)
                inside = path.is_dir() and any(name.startswith(told) for name in named)
                assert {told, *above} & {*entries, *named} or of_entries or inside, told
    assert taken > 10


# memory


def test_all_threads_together_hold_no_more_than_the_largest_image_may(tmp_path, monkeypatch):
    root, side = tmp_path / "in", 60
    for number in range(40):
        tree(root, f"{number % 2}/{number}.png", content=picture(number, side=side))
    total, most, lock = [0], [0], threading.Lock()
    real = decoding.shrunk

    def watched(image, size):
        with lock:
            total[0] += image.width * image.height
            most[0] = max(most[0], total[0])
        try:
            return real(image, size)
        finally:
            with lock:
                total[0] -= side * side

    monkeypatch.setattr(decoding, "shrunk", watched)
    monkeypatch.setattr(convert, "LARGEST_PIXELS", 3 * side * side + 5)
    run(root, tmp_path / "out", workers=16, chunk=40)
    assert 0 < most[0] <= 3 * side * side


def test_files_that_are_being_read_are_bounded_together_too(tmp_path, monkeypatch):
    root = tree(tmp_path / "in", *(f"a/{number}.png" for number in range(30)))
    held, most, lock = [0], [0], threading.Lock()
    real = sources.Entry.read

    def watched(entry):
        with lock:
            held[0] += entry.length
            most[0] = max(most[0], held[0])
        try:
            return real(entry)
        finally:
            with lock:
                held[0] -= entry.length

    monkeypatch.setattr(sources.Entry, "read", watched)
    monkeypatch.setattr(convert, "LARGEST_BYTES", 2 * len(PICTURE))
    run(root, tmp_path / "out", workers=16, chunk=30)
    assert 0 < most[0] <= 2 * len(PICTURE)


# sources that change


class Stopped(BaseException):
    """The conversion stops here."""


def stopped(source, folder, monkeypatch, after=2):
    """Convert until some journals are written."""
    real, calls = stored.Growing.append, []

    def stops(self, *args, **kwargs):
        calls.append(real(self, *args, **kwargs))
        if len(calls) == after:
            raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(stored.Growing, "append", stops)
        run(source, folder)


def kept_time(path):
    told = path.stat()
    path.write_bytes(picture(99))
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))


CHANGES = {  # of an image that was read, at root/a/1.png
    "content": lambda path: path.write_bytes(picture(99)),
    "content with its old time": kept_time,
    "length": lambda path: path.write_bytes(picture(99) + b"x"),
    "removed": Path.unlink,
    "renamed": lambda path: path.rename(path.with_name("0.png")),
    "added": lambda path: tree(path.parents[1], "c/0.png"),
    "class renamed": lambda path: (path.parents[1] / "b").rename(path.parents[1] / "e"),
    "replaced by a link": lambda path: path.unlink() or path.symlink_to("4.png"),
}


@pytest.fixture
def numbered(tmp_path):
    """Twelve images of one length, in three classes."""
    for number in range(12):
        tree(tmp_path / "in", f"{'abc'[number % 3]}/{number + 1}.png", content=picture(number))
    sizes = {path.stat().st_size for path in (tmp_path / "in").rglob("*.png")}
    assert sizes == {len(picture(99))}
    return tmp_path / "in"


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("how", CHANGES)
def test_a_source_that_changed_is_refused(numbered, tmp_path, monkeypatch, how, finished):
    run(numbered, tmp_path / "out") if finished else stopped(
        numbered, tmp_path / "out", monkeypatch
    )
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    CHANGES[how](numbered / "a" / "1.png")
    with pytest.raises(ValueError, match="belongs to another conversion"):
        run(numbered, tmp_path / "out")
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("finished", [False, True])
def test_what_changes_no_data_is_no_change(numbered, tmp_path, monkeypatch, finished):
    run(numbered, tmp_path / "right")
    run(numbered, tmp_path / "out") if finished else stopped(
        numbered, tmp_path / "out", monkeypatch
    )
    tree(numbered, ".DS_Store", "a/Thumbs.db", "a/._1.png", "notes.txt", "__MACOSX/a/1.png", "new/")
    for path in numbered.rglob("*.png"):
        os.utime(path)
    os.chmod(numbered / "a" / "1.png", 0o600)
    run(numbered, tmp_path / "out")
    for name in ("pixels.npy", "labels.npy", "left-out.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "right" / name).read_bytes()


def test_a_source_that_changes_while_it_is_converted_is_noticed(numbered, tmp_path, monkeypatch):
    real = stored.Growing.append

    def after_the_first(change):
        def changes(self, *args, **kwargs):
            real(self, *args, **kwargs)
            if self.journal["seen"] == 4:
                change()

        return changes

    last = numbered / "c" / "12.png"
    whole = last.read_bytes()
    for number, (change, back) in enumerate(
        [
            (lambda: last.write_bytes(picture(99)), lambda: None),
            (last.unlink, lambda: last.write_bytes(whole)),
            (lambda: tree(numbered, "a/0.png"), (numbered / "a" / "0.png").unlink),
        ]
    ):
        with monkeypatch.context() as patch, pytest.raises(ValueError, match="but has changed"):
            patch.setattr(stored.Growing, "append", after_the_first(change))
            run(numbered, tmp_path / str(number))
        back()
        assert not (tmp_path / str(number) / "images.json").exists()


def test_an_image_for_which_there_is_no_memory_is_not_called_damaged(numbered, monkeypatch):
    def full(image):
        raise MemoryError

    monkeypatch.setattr(decoding, "_in_colour", full)
    with pytest.raises(MemoryError):
        run(numbered, numbered.with_name("out"))


# what is opened


def test_every_file_of_a_converted_set_must_be_there_in_its_length(numbered, tmp_path):
    run(tree(numbered, "x.txt"), tmp_path / "out")
    assert images.open_images(tmp_path / "out", SIZE, None, 0, verify=True).size == SIZE
    for name in ("pixels.npy", "labels.npy", "left-out.jsonl"):
        path = tmp_path / "out" / name
        whole = path.read_bytes()
        for bad in (whole[:-1], whole + b"x", None):
            path.unlink()
            if bad is not None:
                path.write_bytes(bad)
            with pytest.raises(ValueError, match=name):
                images.opened(tmp_path / "out")
            with pytest.raises(ValueError, match=name):  # nor is it told to be finished
                run(numbered, tmp_path / "out")
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        images.opened(tmp_path / "out")
        with pytest.raises(ValueError, match=f"{name} is damaged: its checksum"):
            images.open_images(tmp_path / "out", SIZE, None, 0, verify=True)
        path.write_bytes(whole)
    with pytest.raises(ValueError, match="verify must be False for 'photos'"):
        images.open_images("photos", SIZE, 1, 0, verify=True)


@pytest.mark.parametrize("number", [1, 3, 0, -1, 10**30])
def test_another_format_is_told_with_the_version_that_made_it(numbered, tmp_path, number):
    facts = run(numbered, tmp_path / "out")
    facts |= {"format": number, "new": "things"}
    facts["versions"]["jepabook"] = "7.5"
    (tmp_path / "out" / "images.json").write_text(json.dumps(facts))
    for function in (images.opened, lambda folder: run(numbered, folder)):
        with pytest.raises(ValueError) as caught:
            function(tmp_path / "out")
        told = str(caught.value)
        assert f"must be of format 2, got {number}, made by jepabook 7.5: convert" in told
        assert "--size SIZE" in told and told.isprintable()


WRONG = {
    "images.json": {
        **{"images": ["12", -1, True, None, 12.0], "train": [0, 13], "name": [None], "notes": [[]]},
        **{"labelled": [1, None], "classes": ["abc", [1]], "versions": [[]], "date": [2024]},
        **{"labels": [{}, [3]], "labels.0.train": [-1, "1"], "labels.0.name": [7], "more": [1]},
        **{
            "sha256.pixels": ["0", None],
            "sha256": [{}],
            "bytes.left-out": [1.0, -1],
            "modes": [[]],
        },
        **{"skipped": [[], {"x": 3}], "skipped.not an image.count": [-1, "1"], "content": ["x", 1]},
        **{"skipped.not an image.first": ["x", [3]], "modes.RGB": ["12", -1], "stamp": [3]},
        **{"identity": [3, {}], "identity.size": ["8", None], "identity.test_every": [-1]},
    },
    "journal.json": {
        **{"seen": ["4", -1, True], "rows": [[1], [1, -1], "12"], "crc": [{}], "crc.labels": [-1]},
        **{
            "bytes.pixels": ["1", 10**9],
            "listed": [1],
            "content": ["x"],
            "modes": [3],
            "more": [0],
        },
        **{"skipped.not an image": [{}], "identity": [None], "identity.size": ["8"], "stamp": [3]},
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_every_entry_is_held_against_the_schema(numbered, tmp_path, monkeypatch, name):
    tree(numbered, "x.txt", "a/3.txt")
    if name == "images.json":
        run(numbered, tmp_path / "out")
    else:
        stopped(numbered, tmp_path / "out", monkeypatch)
    path = tmp_path / "out" / name
    text = path.read_text()
    changes = [(key, "gone") for key in json.loads(text)]
    changes += [(place, bad) for place, values in WRONG[name].items() for bad in values]
    for place, bad in changes:
        place = place.split(".")
        facts = inner = json.loads(text)
        for key in place[:-1]:
            inner = inner[int(key) if isinstance(inner, list) else key]
        inner[place[-1]] = bad
        if bad == "gone":
            del inner[place[-1]]
        path.write_text(json.dumps(facts))
        with pytest.raises(ValueError, match="is damaged") as caught:
            run(numbered, tmp_path / "out")
        assert "\n" not in str(caught.value)
        if name == "images.json":
            with pytest.raises(ValueError, match=r"images\.json is damaged: "):
                images.opened(tmp_path / "out")
    path.write_text(text)
    run(numbered, tmp_path / "out")


# tables


def table(path, rows=3, start=0, features=None, **columns):
    """A parquet file of images with labels 0, 1, ..., or of other columns."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    images_ = [{"bytes": picture(start + row), "path": None} for row in range(rows)]
    data = columns or {"image": images_, "label": [row % 2 for row in range(rows)]}
    data = {name: images_ if values == "images" else values for name, values in data.items()}
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    kinds = datasets.Features(features or kinds)
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(data, kinds).to_parquet(path)
    return path


def pixels(folder):
    """Every image's checksum."""
    return [picture.tobytes() for picture in images.opened(folder).pixels]


@pytest.mark.parametrize(
    ("names", "split", "taken"),
    [
        (["train-00000-of-00001.parquet", "test-00000-of-00001.parquet"], None, [0]),
        (["train-00000-of-00001.parquet", "test-00000-of-00001.parquet"], "test", [1]),
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"], None, [0, 1]),
        (["train.parquet", "validation.parquet"], "val", [1]),
        (["x_train_1.parquet", "x_train_2.parquet", "x_dev.parquet"], "train", [0, 1]),
        (["train/0000.parquet", "train/0001.parquet", "test/0000.parquet"], None, [0, 1]),
        (["default/train/0.parquet", "default/partial-test/0.parquet"], "test", [1]),
        (["a.parquet", "b.parquet"], None, [0, 1]),
        (["sst-train-00000-of-00001-abcdef0123456789.parquet"], "train", [0]),
    ],
)
def test_the_split_of_a_table_is_told_by_its_name_in_every_layout(tmp_path, names, split, taken):
    for number, name in enumerate(names):
        table(tmp_path / "in" / name, 2, 10 * number)
    tree(tmp_path / "in", "README.md", ".gitattributes", "cover.png")
    facts = run(tmp_path / "in", tmp_path / "out", split=split, test_every=0)
    assert facts["images"] == 2 * len(taken)
    for number, name in enumerate(names):
        if number in taken:
            run(tmp_path / "in" / name, tmp_path / f"one-{number}", test_every=0)
    each = [pixels(tmp_path / f"one-{number}") for number in taken]
    assert pixels(tmp_path / "out") == [*itertools.chain(*each)]
    told = left(tmp_path / "out")
    others = {name for number, name in enumerate(names) if number not in taken}
    assert {name for name, reason in told.items() if reason == layout.OTHER} == others
    assert set(told) - others == {"README.md", ".gitattributes", "cover.png"}


TABLES_REFUSED = {
    "a part is missing": (
        ["train-00000-of-00003.parquet", "train-00002-of-00003.parquet"],
        {},
        "1 of 3",
    ),
    "two editions": (
        [
            "train-00000-of-00001.parquet",
            "train-00000-of-00002.parquet",
            "train-00001-of-00002.parquet",
        ],
        {},
        "must hold a split once",
    ),
    "no such split": (["test.parquet"], {}, "must hold 'train', got the splits test"),
    "no split": (["a.parquet"], {"split": "test"}, "split must be left out"),
    "one tells none": (["train.parquet", "a.parquet"], {}, "all tell the split or none does"),
    "kinds": (["x/a.parquet", "y/a.parquet"], {}, "got them in the folders x, y"),
    "two places": (["a.parquet", "data/a.parquet"], {}, "got them in the folders ., data"),
    "a copy": (["train.parquet", "train (1).parquet"], {}, "must hold every table once"),
    "a copy of all": (["a.parquet", "a copy.parquet"], {}, "must hold every table once"),
    "more of it": (["train.parquet", "train_extra.parquet"], {}, "which of train, train_extra"),
    "an empty word": (["train.parquet", "test.parquet"], {"split": ""}, "must hold ''"),
    "which split": (["train-a.parquet", "a/train.parquet"], {}, "in the folders ., a"),
}


@pytest.mark.parametrize("name", TABLES_REFUSED)
def test_tables_that_can_be_meant_in_two_ways_are_refused(tmp_path, name):
    names, options, start = TABLES_REFUSED[name]
    for place in names:
        table(tmp_path / "in" / place)
    assert start in refused(tmp_path / "in", tmp_path / "out", **options)


def test_a_tables_path_with_the_letters_of_patterns_is_that_path(tmp_path):
    for number, name in enumerate(("set1", "set[12]", "sets*", "setsx")):
        table(tmp_path / name / "train.parquet", 2, 10 * number)
    for number, name in ((1, "set[12]"), (2, "sets*")):
        run(tmp_path / name, tmp_path / f"a-{number}")
        table(tmp_path / "alone" / f"{number}.parquet", 2, 10 * number)
        run(tmp_path / "alone" / f"{number}.parquet", tmp_path / f"b-{number}")
        assert pixels(tmp_path / f"a-{number}") == pixels(tmp_path / f"b-{number}")


def columns(**kinds):
    datasets = pytest.importorskip("datasets")
    words = {"image": datasets.Image(), "class": datasets.ClassLabel(names=["a", "b"])}
    words |= {"int": datasets.Value("int64"), "text": datasets.Value("string")}
    words |= {"binary": datasets.Value("binary"), "float": datasets.Value("float64")}
    values = {"image": "images", "class": [0, 1, 0], "int": [5, 6, -1], "text": ["x"] * 3}
    values |= {"binary": [b"1"] * 3, "float": [0.0, 1.0, 1.0]}
    features = {name: words[kind] for name, kind in kinds.items()}
    return {"features": features} | {name: values[kind] for name, kind in kinds.items()}


@pytest.mark.parametrize(
    ("kinds", "options", "image", "label", "labels"),
    [
        ({"mask": "image", "image": "image"}, {}, "image", None, None),
        ({"mask": "image", "photo": "image"}, {"column": "photo"}, "photo", None, None),
        ({"png": "image", "label": "class", "fine": "class"}, {}, "png", "label", [0, 1, 0]),
        ({"img": "image", "fine_label": "class"}, {}, "img", "fine_label", [0, 1, 0]),
        ({"img": "image", "f": "class", "g": "class"}, {"label": "g"}, "img", "g", [0, 1, 0]),
        ({"img": "image", "f": "class", "g": "class"}, {"label": ""}, "img", None, None),
        ({"img": "image", "label": "int", "kind": "class"}, {}, "img", "label", [5, 6, -1]),
        ({"img": "image", "number": "int"}, {"label": "number"}, "img", "number", [5, 6, -1]),
        ({"image": "image", "label": "text", "class": "float"}, {}, "image", None, None),
        ({"image": "image", "jpg": "binary", "label": "class"}, {}, "image", "label", [0, 1, 0]),
    ],
)
def test_columns_are_taken_by_what_they_hold_and_the_others_named(
    tmp_path, kinds, options, image, label, labels
):
    table(tmp_path / "t.parquet", 3, **columns(**kinds))
    facts = run(tmp_path / "t.parquet", tmp_path / "out", test_every=0, **options)
    assert facts["identity"]["source"]["columns"] == [name for name in (image, label) if name]
    found = images.opened(tmp_path / "out")
    assert len(found) == 3 and facts["labelled"] == (labels is not None)
    if labels:
        assert found.labels["class"].tolist() == labels
    others = [name for name in left(tmp_path / "out") if name.startswith("column ")]
    assert len(others) == len(kinds) - 1 - (label is not None)


@pytest.mark.parametrize(
    ("kinds", "options", "start"),
    [
        ({"left": "image", "right": "image"}, {}, "column must say which of left and right"),
        (
            {"img": "image", "coarse": "class", "fine": "class"},
            {},
            "label must say which of coarse",
        ),
        ({"image": "image"}, {"column": "photo"}, "column must be one of ['image'], got 'photo'"),
        ({"image": "image"}, {"label": "x"}, "label must be one of ['image'], got 'x'"),
        ({"image": "image", "t": "text"}, {"column": "t"}, "column must hold encoded images"),
        ({"image": "image", "t": "text"}, {"label": "t"}, "label must be numbers, got 't' of text"),
        ({"image": "text", "label": "int"}, {}, "such as 'image', got image (text), label (integ"),
        ({"image": "image"}, {"class_depth": 1}, "class_depth must be left out"),
        ({"image": "image"}, {"split": "test"}, "split must be what"),
    ],
)
def test_columns_that_can_be_meant_in_two_ways_are_refused(tmp_path, kinds, options, start):
    table(tmp_path / "t.parquet", 3, **columns(**kinds))
    assert start in refused(tmp_path / "t.parquet", tmp_path / "out", **options)


def test_labels_of_a_table_are_class_numbers_or_none(tmp_path):
    hidden = {"image": "images", "label": [-1, None, -1]}
    facts = run(table(tmp_path / "t.parquet", 3, **hidden), tmp_path / "hidden")
    assert not facts["labelled"] and images.opened(tmp_path / "hidden").labels == {}
    some = {"image": "images", "label": [1, -1, None]}
    facts = run(table(tmp_path / "t.parquet", 3, **some), tmp_path / "some", test_every=0)
    assert images.opened(tmp_path / "some").labels["class"].tolist() == [1, -1, -1]
    assert counts(facts) == {None: 2, "a": 0, "b": 1}
    for number, (kind, value) in enumerate((("int64", -2), ("uint64", 2**62), ("int64", 2**31))):
        datasets = pytest.importorskip("datasets")
        kinds = {"image": datasets.Image(), "label": datasets.Value(kind)}
        bad = {"image": "images", "label": [0, 1, value]}
        path = table(tmp_path / f"{number}.parquet", 3, features=kinds, **bad)
        with pytest.raises(ValueError, match=f"row 2, must have a label .* got {value}"):
            run(path, tmp_path / f"bad-{number}")


def test_parts_of_a_table_must_have_the_same_columns_and_classes(tmp_path):
    datasets = pytest.importorskip("datasets")
    table(tmp_path / "in" / "a.parquet")
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["b", "a"])}
    table(tmp_path / "in" / "b.parquet", features=kinds)
    assert "b.parquet must have the columns and classes" in refused(tmp_path / "in", tmp_path / "o")


def test_tables_beside_folders_of_images_are_refused(tmp_path):
    table(tree(tmp_path / "in", *PLAIN) / "data" / "a.parquet")
    assert "must hold tables or folders of images" in refused(tmp_path / "in", tmp_path / "out")


def test_a_table_that_changed_is_refused_and_one_that_was_touched_is_not(tmp_path, monkeypatch):
    path = table(tmp_path / "t.parquet", 12)
    run(path, tmp_path / "right")
    stopped(path, tmp_path / "out", monkeypatch, 3)
    whole = path.read_bytes()
    shutil.copy(path, tmp_path / "copy.parquet")
    at = whole.index(picture(1)[-30:])
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(ValueError, match="belongs to another conversion: the images of its source"):
        run(path, tmp_path / "out")
    path.write_bytes(whole)
    run(path, tmp_path / "out")
    assert pixels(tmp_path / "out") == pixels(tmp_path / "right")


@pytest.mark.parametrize("bare", [False, True])
def test_a_stream_of_the_hub_whose_columns_nobody_describes_is_read(tmp_path, monkeypatch, bare):
    datasets, hub = pytest.importorskip("datasets"), pytest.importorskip("huggingface_hub")

    class Info:
        sha = "abc"

    def rows():
        for number in range(6):
            content = picture(number)
            image = content if bare else {"bytes": content, "path": f"{number}.png"}
            yield {"__key__": str(number), "png": image, "cls": number % 3}

    monkeypatch.setattr(hub.HfApi, "dataset_info", lambda *args, **kwargs: Info)
    stream = datasets.IterableDataset.from_generator(rows)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: stream)
    facts = run("hub:owner/name", tmp_path / "out", test_every=0)
    assert facts["identity"]["source"]["columns"] == ["png", "cls"]
    assert images.opened(tmp_path / "out").labels["class"].tolist() == [0, 1, 2] * 2
    assert set(left(tmp_path / "out")) == {"column __key__ (text)"}
