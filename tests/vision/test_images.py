"""Photographs and converted folders: their laws, bad files, and interruptions."""

import io
import itertools
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("PIL")

from PIL import Image

from jepabook import photographs
from jepabook._support import files
from jepabook.vision import crops, decoding, images, stored
from jepabook.vision.convert import convert, main
from tools.notebooks import ROOT

FILES = {"pixels.npy", "labels.npy", "images.json", "left-out.jsonl"}
SIZE = 16


def refused(function, *args, **kwargs):
    """The one-line message of the ValueError that a call raises."""
    with pytest.raises(ValueError) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


def encoded(pixels, kind="JPEG", mode=None, **options):
    """The bytes of an image file."""
    file, image = io.BytesIO(), Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def noise(seed, height=40, width=50, channels=(3,)):
    rng = np.random.default_rng(seed)
    return rng.integers(256, size=(height, width, *channels), dtype=np.uint8)


# photographs


def test_the_photographs_give_crops_with_their_labels_and_everything_is_seeded():
    one = images.photographs(32, 60, seed=3)
    assert one.pixels.shape == (60, 32, 32, 3) and one.pixels.dtype == np.uint8
    assert one.size == 32 and len(one) == 60 and one.skipped == {}
    assert np.array_equal(one.labels["photograph"], np.arange(60) % 6)
    assert set(one.labels) == {"photograph", "scale"}
    for changes in ({}, {"seed": 4}, {"split": "test"}):
        other = images.photographs(32, 30, **({"seed": 3} | changes))
        assert np.array_equal(one.pixels[:30], other.pixels) == (not changes)
    found = images.open_images("photos", 32, 60, 3)
    assert np.array_equal(found.pixels, one.pixels)


def test_train_and_test_regions_share_no_pixel_and_make_up_the_photograph():
    for image in photographs.colour().values():
        places = np.arange(image.size).reshape(image.shape)
        parts = [crops.region(places, split).ravel() for split in ("train", "test")]
        assert np.array_equal(np.sort(np.concatenate(parts)), places.ravel())
        assert abs(len(parts[1]) / places.size - 0.25) < 0.01


@pytest.mark.parametrize(("split", "own"), [("train", 10), ("test", 250)])
def test_no_crop_sees_a_pixel_of_the_other_region(split, own):
    marked = np.full((60, 160, 3), 10, np.uint8)
    crops.region(marked, "test")[:] = 250
    pixels, _, _ = crops.cut([marked], 16, 400, np.random.default_rng(0), split)
    assert np.all(pixels == own)


def test_crops_have_the_sides_that_their_labels_tell_log_uniform():
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 800, 1)[:, :, None].repeat(3, 2)
    pixels, which, scale = crops.cut([ramp, ramp], 20, 2000, np.random.default_rng(1))
    rows = pixels[:, 4:16, 10, 0].astype(float)
    side = 20 * (rows[:, -1] - rows[:, 0]) / 11
    assert which.mean() == 0.5
    exact = 2 * np.log2(side / 20)
    assert np.all((exact > scale - 0.4) & (exact < scale + 1.4))
    octaves = np.log2(side / 20) / np.log2(200 / 20)
    assert stats.kstest(octaves.clip(0, 1), "uniform").statistic < 0.06


def test_a_crop_of_the_size_itself_is_a_window_and_largest_bounds_all_sides():
    image = noise(0, 64, 90)
    pixels, _, scale = crops.cut([image], 16, 50, np.random.default_rng(0), largest=16)
    windows = np.lib.stride_tricks.sliding_window_view(image, (16, 16, 3)).reshape(-1, 16 * 16 * 3)
    known = {window.tobytes() for window in windows}
    assert all(crop.tobytes() in known for crop in pixels) and np.all(scale == 0)
    for split in crops.SPLITS:
        _, _, scale = crops.cut([image] * 2, 8, 300, np.random.default_rng(0), split, largest=16)
        assert set(scale) == {0, 1, 2}


def test_bad_arguments_of_crops_are_refused():
    assert refused(images.photographs, 114, 1, 0, "test").startswith("size must be at most 113")
    assert refused(images.photographs, 8, 1, 0, largest=7).startswith("largest must")
    assert refused(images.photographs, 8, 1, 0, split="val").startswith("split must be one of")
    assert refused(images.photographs, 8, 0, 0).startswith("count must")
    assert refused(images.photographs, 0, 1, 0).startswith("size must")
    assert refused(images.photographs, 8, 1, -1).startswith("seed must")
    assert refused(images.open_images, "photo", 8, 1, 0).startswith("images must be 'photos'")


# decoding


def png(width, height):
    """A PNG file that says it is large, and holds nearly nothing."""

    def chunk(kind, data):
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


WHOLE = encoded(noise(5))
BAD = {
    "empty.jpg": (b"", "empty file"),
    "text.jpg": (b"no image at all", "not an image"),
    "cut.jpg": (WHOLE[: len(WHOLE) // 2], "damaged or truncated"),
    "head.jpg": (WHOLE[:10], "damaged or truncated"),
    "tail.jpg": (WHOLE[:-2], "damaged or truncated"),
    "cut.png": (encoded(noise(5), "PNG")[:900], "damaged or truncated"),
    "one.png": (encoded(noise(0, 1, 1), "PNG"), "smaller than the size"),
    "flat.jpg": (encoded(noise(0, 15, 500)), "smaller than the size"),
    "huge.png": (png(8193, 8193), "too many pixels"),
    "bomb.png": (png(40_000, 40_000), "too many pixels"),
    "vast.png": (png(2**31 - 1, 2**31 - 1), "too many pixels"),
    "drawing.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n", "not an image"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_is_skipped_with_the_reason(name):
    data, reason = BAD[name]
    with pytest.raises(decoding.Skipped) as caught, decoding.quiet():
        decoding.decoded(data, SIZE)
    assert str(caught.value) == reason


def test_damage_anywhere_gives_pixels_or_a_reason_and_nothing_else():
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "PPM"):
        whole = encoded(noise(1, 20, 24), kind)
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(min(len(data), 600), size=3):
                data[place] = rng.integers(256)
            try:
                with decoding.quiet():
                    pixels, _ = decoding.decoded(bytes(data), SIZE)
            except decoding.Skipped:
                continue
            assert pixels.shape == (SIZE, SIZE, 3) and pixels.dtype == np.uint8


def odd_kinds():
    """Files of one colour (200, 100, 40), or its grey, in many forms."""
    colour = np.full((20, 30, 3), (200, 100, 40), np.uint8)
    grey = np.full((20, 30), 90, np.uint8)
    clear = np.dstack([colour, np.full((20, 30), 128, np.uint8)])
    palette = Image.fromarray(colour).quantize(4)
    file = io.BytesIO()
    palette.save(file, "PNG", transparency=palette.getpixel((0, 0)))
    one_bit = np.full((20, 30), 255, np.uint8)
    deep = (grey.astype(np.uint16) << 8) + 77
    return {
        "RGB": (encoded(colour, "PNG"), "RGB", (200, 100, 40)),
        "CMYK": (encoded(colour, "JPEG", "CMYK", quality=100), "CMYK", (200, 100, 40)),
        "grey": (encoded(grey, "JPEG"), "L", (90, 90, 90)),
        "16 bits": (encoded(deep, "PNG"), "I;16", (90, 90, 90)),
        "palette": (encoded(colour, "GIF"), "P", (200, 100, 40)),
        "clear palette": (file.getvalue(), "P", (0, 0, 0)),
        "half clear": (encoded(clear, "PNG"), "RGBA", (100, 50, 20)),
        "grey alpha": (encoded(clear, "PNG", "LA"), "LA", (62, 62, 62)),
        "1 bit": (encoded(one_bit, "PNG", "1"), "1", (255, 255, 255)),
    }


@pytest.mark.parametrize("name", odd_kinds())
def test_images_of_all_kinds_turn_into_the_right_colours(name):
    data, mode, colour = odd_kinds()[name]
    with decoding.quiet():
        pixels, told = decoding.decoded(data, SIZE)
    assert told == mode and pixels.shape == (SIZE, SIZE, 3)
    assert np.abs(pixels.astype(int) - colour).max() <= 2


def test_the_shorter_side_is_resized_and_the_centre_kept():
    ramp = np.repeat(np.arange(240, dtype=np.uint8)[None], 80, 0)[:, :, None].repeat(3, 2)
    for image in (ramp, ramp.transpose(1, 0, 2)):
        pixels = decoding.shrunk(Image.fromarray(image), 20)
        along = pixels[10, :, 0] if image is ramp else pixels[:, 10, 0]
        # pixel j covers 80 + 4 j ... 80 + 4 j + 3
        assert np.abs(along - (80 + 4 * np.arange(20) + 1.5)).max() <= 1
    assert np.array_equal(decoding.shrunk(Image.fromarray(noise(0, 20, 20)), 20), noise(0, 20, 20))


def test_fine_stripes_turn_grey_when_they_are_shrunk():
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = decoding.shrunk(Image.fromarray(stripes), 20)[2:-2, 2:-2].astype(int)
    assert np.abs(inner - 127).max() <= 3


# converted folders


@pytest.fixture
def source(tmp_path):
    """Three classes with 37 good images, one of them CMYK, and every bad file."""
    root = tmp_path / "birds"
    for number in range(37):
        folder = root / "bca"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        mode = "CMYK" if number == 5 else None
        (folder / f"{number:02}.jpg").write_bytes(encoded(noise(number), mode=mode))
    for name, (data, _) in BAD.items():
        (root / "b" / name).write_bytes(data)
    (root / "c" / "deeper").mkdir()
    (root / "c" / "deeper" / "grey.png").write_bytes(encoded(noise(0, channels=()), "PNG"))
    (root / "README").write_text("stray")
    (root / "a" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "a" / "pipe.jpg")
    return root


def run(source, folder, **changes):
    return convert(source, folder, **({"size": SIZE, "chunk": 4, "workers": 1} | changes))


def contents(folder):
    """Every file of a folder with its bytes."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def test_class_folders_become_an_array_with_all_skipped_images_counted(source, tmp_path):
    facts = run(source, tmp_path / "small")
    assert set(contents(tmp_path / "small")) == FILES
    found = images.opened(tmp_path / "small", verify=True)
    assert found.pixels.shape == (38, SIZE, SIZE, 3) and isinstance(found.pixels, np.memmap)
    reasons = {reason for _, reason in BAD.values()}
    for reason in reasons:
        names = sorted(f"b/{name}" for name, (_, why) in BAD.items() if why == reason)
        assert found.skipped[reason] == len(names)
        assert facts["skipped"][reason] == {"count": len(names), "first": names[:5]}
    assert set(found.skipped) == reasons | {"outside the class folders", "unreadable file"}
    assert facts["skipped"]["unreadable file"]["first"] == ["a/gone.jpg", "a/pipe.jpg"]
    assert facts["modes"] == {"CMYK": 1, "L": 1, "RGB": 36}
    assert facts["classes"] == ["a", "b", "c"] and facts["images"] == 38
    assert str(tmp_path) not in (tmp_path / "small" / "images.json").read_text()


def test_rows_follow_the_names_and_every_tenth_image_is_held_out(tmp_path):
    for number in range(25):
        folder = tmp_path / "in" / "xy"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        data = encoded(np.full((20, 20, 3), number, np.uint8), "PNG")
        (folder / f"{number:02}.png").write_bytes(data)
    order = np.array([*range(0, 25, 2), *range(1, 25, 2)])
    held = np.arange(25) % 10 == 9
    run(tmp_path / "in", tmp_path / "out")
    for split, rows in {"train": order[~held], "test": order[held]}.items():
        found = images.opened(tmp_path / "out", split)
        assert np.array_equal(found.pixels[:, 3, 3, 1], rows)
        assert np.array_equal(found.labels["class"], rows % 2)
    every = images.opened(tmp_path / "out")
    assert np.array_equal(every.pixels[:, 0, 0, 0], [*order[~held], *order[held]])
    run(tmp_path / "in", tmp_path / "all", test_every=0)
    found = images.opened(tmp_path / "all", "train")
    assert np.array_equal(found.pixels[:, 3, 3, 1], order)
    assert "must hold images for test" in refused(images.opened, tmp_path / "all", "test")


def test_the_result_does_not_depend_on_threads_or_chunks(source, tmp_path):
    run(source, tmp_path / "one")
    for number, changes in enumerate(({"workers": 3}, {"chunk": 1}, {"chunk": 1000})):
        run(source, tmp_path / str(number), **changes)
        assert contents(tmp_path / str(number)) == contents(tmp_path / "one")


class Killed(BaseException):
    """The machine stops here."""


def test_after_a_stop_before_any_write_the_same_call_ends_with_the_same_bytes(
    source, tmp_path, monkeypatch
):
    run(source, tmp_path / "right", chunk=15)
    right, count = contents(tmp_path / "right"), itertools.count()
    real = {name: getattr(os, name) for name in ("fsync", "replace")}

    def stop(name, at):
        def stopped(*args):
            if next(count) == at:
                raise Killed
            return real[name](*args)

        return stopped

    for at in itertools.count():
        count, folder = itertools.count(), tmp_path / f"stopped-{at}"
        for name in real:
            monkeypatch.setattr(os, name, stop(name, at))
        try:
            run(source, folder, chunk=15)
            break
        except Killed:
            monkeypatch.undo()
        if not (folder / "images.json").exists():
            assert "must be" in refused(images.opened, folder) or "is unfinished" in refused(
                images.opened, folder
            )
        for part in folder.glob("*.part"):  # what was not yet safe is lost in part
            with open(part, "ab") as file:
                file.write(b"rubbish")
        run(source, folder, chunk=15)
        assert contents(folder) == right
    assert at > 20


PROGRAM = """
import sys
from jepabook.vision.convert import convert
convert(sys.argv[1], sys.argv[2], size=48, chunk=2, workers=2)
"""


def test_after_kill_9_the_same_command_goes_on_and_ends_with_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(300):
        folder = tmp_path / "in" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        data = encoded(noise(number, 150, 150)) if number % 7 else b"bad"
        (folder / f"{number}.jpg").write_bytes(data)
    convert(tmp_path / "in", tmp_path / "right", size=48)
    folder, seen = tmp_path / "out", [0]
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "in"), str(folder)]
    for goal in (30, 160):
        goal += rng.integers(60)
        process = subprocess.Popen(command, cwd=ROOT)
        while process.poll() is None and seen[-1] < goal:
            time.sleep(0.001)
            if (folder / "journal.json").exists():
                seen.append(json.loads((folder / "journal.json").read_bytes())["seen"])
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.returncode == -signal.SIGKILL, "it was too fast to be killed"
        assert "unfinished" in refused(images.opened, folder)
    assert seen == sorted(seen)  # it went on each time
    subprocess.run(command, cwd=ROOT, check=True)
    assert contents(folder) == contents(tmp_path / "right")


def test_a_finished_folder_is_left_alone_and_foreign_ones_are_refused(source, tmp_path):
    folder = tmp_path / "small"
    first = run(source, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert run(source, folder) == first
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert "its size is 16, not 8" in refused(run, source, folder, size=8)
    facts = json.loads((folder / "images.json").read_bytes())
    decoder = facts["identity"]["decoder"] | {"kernel": "box"}
    newer = facts | {"identity": facts["identity"] | {"decoder": decoder}}
    (folder / "images.json").write_text(json.dumps(newer))
    assert "its decoder kernel is box, not missing" in refused(run, source, folder)
    (folder / "images.json").write_text(json.dumps(facts))
    (source / "a" / "new.jpg").write_bytes(WHOLE)
    assert "its source entries is 50, not 51" in refused(run, source, folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    assert refused(run, source, tmp_path / "mine").endswith("got 'thesis.txt' in it")
    assert contents(tmp_path / "mine") == {"thesis.txt": b"dear"}
    assert "must be a folder" in refused(run, source, tmp_path / "mine" / "thesis.txt")


def test_two_conversions_do_not_share_a_folder(source, tmp_path):
    with files.alone(tmp_path / "small"):
        assert "in use by another process" in refused(run, source, tmp_path / "small")
    run(source, tmp_path / "small")


def test_a_damaged_unfinished_folder_is_refused(source, tmp_path, monkeypatch):
    def interrupted(*args):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(stored.Growing, "finish", interrupted)
        run(source, tmp_path / "small")
    part = tmp_path / "small" / "pixels.npy.part"
    whole = part.read_bytes()
    for bad in (whole[:-1], whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]):
        part.write_bytes(bad)
        assert refused(run, source, tmp_path / "small").startswith(f"{part} is damaged")
    part.write_bytes(whole)
    journal = tmp_path / "small" / "journal.json"
    text = journal.read_text()
    for bad in ("", "[]", '{"format": 2}', text.replace('"rows"', '"rose"')):
        journal.write_text(bad)
        assert refused(run, source, tmp_path / "small").startswith(f"{journal} is damaged")
    journal.write_text(text)
    assert run(source, tmp_path / "small")["images"] == 38


def test_a_damaged_finished_folder_is_refused_by_name(source, tmp_path):
    folder = tmp_path / "small"
    run(source, folder)
    right = contents(folder)

    def damage(name, data):
        for file, whole in right.items():
            (folder / file).write_bytes(whole)
        if data is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(data)
        return str(folder / name)

    facts = json.loads(right["images.json"])
    texts = ["", "{", "[1]", "{}", json.dumps(facts | {"images": "38"}), "[" * 100_000]
    texts += [json.dumps(facts | {"train": 3}), json.dumps(facts | {"skipped": {"a": 1}})]
    for text in texts:
        name = damage("images.json", text.encode())
        assert refused(images.opened, folder).startswith(f"{name} is damaged")
    for file in ("pixels.npy", "labels.npy"):
        whole = right[file]
        for bad in (None, b"", whole[:-1], whole + b"x", whole[:128], b"x" * 300):
            name = damage(file, bad)
            assert refused(images.opened, folder).startswith(name)
        name = damage(file, whole[:-1] + bytes([whole[-1] ^ 1]))
        images.opened(folder)
        assert "checksum" in refused(images.opened, folder, verify=True)
    name = damage("labels.npy", right["pixels.npy"])
    assert refused(images.opened, folder).startswith(f"{name} must be int64")
    damage("images.json", None)
    assert "must be made by jepabook.vision.convert" in refused(images.opened, folder)
    assert "must be a folder" in refused(images.opened, tmp_path / "none")


def test_a_folder_gives_as_many_images_as_asked_for_seeded(source, tmp_path):
    run(source, tmp_path / "small")
    every = images.open_images(tmp_path / "small", SIZE, None, 0)
    some = images.open_images(str(tmp_path / "small"), SIZE, 9, 0)
    again = images.open_images(tmp_path / "small", SIZE, 9, 0)
    other = images.open_images(tmp_path / "small", SIZE, 9, 1)
    assert isinstance(every.pixels, np.memmap) and len(some) == 9
    assert np.array_equal(some.pixels, again.pixels)
    assert not np.array_equal(some.pixels, other.pixels)
    assert {p.tobytes() for p in some.pixels} < {p.tobytes() for p in every.pixels}
    assert some.labels["class"].shape == (9,) and some.skipped == every.skipped
    message = refused(images.open_images, tmp_path / "small", SIZE, 99, 0)
    assert message.startswith(f"count must be at most {len(every)}")
    assert "images of 8 pixels" in refused(images.open_images, tmp_path / "small", 8, 9, 0)


def test_sources_without_anything_to_read_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad" / "a").mkdir(parents=True)
    assert "got none" in refused(run, tmp_path / "empty", tmp_path / "out")
    assert "got none" in refused(run, tmp_path / "bad", tmp_path / "out")
    (tmp_path / "bad" / "a" / "x.jpg").write_bytes(b"")
    for _ in range(2):
        message = refused(run, tmp_path / "bad", tmp_path / "out")
        assert message.endswith("got none of 1: empty file: 1 (a/x.jpg)")
        assert contents(tmp_path / "out") == {}
    for words in (tmp_path / "none", "none.parquet", "./none", "a/b/c"):
        assert "there is none" in refused(run, words, tmp_path / "out")
    assert "another file" in refused(run, ROOT / "README.md", tmp_path / "out")
    assert refused(run, tmp_path, tmp_path / "out", test_every=1).startswith("test_every must")
    assert refused(run, tmp_path, tmp_path / "out", size=0).startswith("size must")


def test_a_full_disk_is_told_before_the_start(source, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "GB of room on its disk" in refused(run, source, tmp_path / "small")


def test_splits_of_a_source_are_told_apart(source, tmp_path):
    (tmp_path / "both").mkdir()
    source.rename(tmp_path / "both" / "train")
    (tmp_path / "both" / "val" / "a").mkdir(parents=True)
    (tmp_path / "both" / "val" / "a" / "x.jpg").write_bytes(WHOLE)
    assert run(tmp_path / "both", tmp_path / "train")["images"] == 38
    assert run(tmp_path / "both", tmp_path / "val", split="val")["name"] == "both/val"
    message = refused(run, tmp_path / "both", tmp_path / "out", split="test")
    assert message.endswith("must hold 'test', got the splits train, val")


# parquet files and the hub


@pytest.fixture
def table(source, tmp_path):
    """The images of `source` as two parquet files, as the hub names them."""
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    files = sorted(path for path in source.glob("*/**/*") if path.is_file())
    rows = [(f.read_bytes(), f.name, "abc".index(f.relative_to(source).parts[0])) for f in files]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    (tmp_path / "table").mkdir()
    for number, part in enumerate((rows[:20], rows[20:])):
        data = {
            "image": [{"bytes": content, "path": name} for content, name, _ in part],
            "label": [label for *_, label in part],
        }
        path = tmp_path / "table" / f"train-0000{number}-of-00002.parquet"
        datasets.Dataset.from_dict(data, features).to_parquet(path, batch_size=6)
    return tmp_path / "table"


def test_parquet_files_give_what_the_same_class_folders_give(source, table, tmp_path):
    for stray in (source / "README", source / "a" / "gone.jpg", source / "a" / "pipe.jpg"):
        stray.unlink()
    one, two = run(source, tmp_path / "one"), run(table, tmp_path / "two")
    for part in ("pixels", "labels"):
        assert one["sha256"][part] == two["sha256"][part]
    assert one["classes"] == two["classes"] and one["labels"] == two["labels"]
    counts = [{r: s["count"] for r, s in facts["skipped"].items()} for facts in (one, two)]
    assert counts[0] == counts[1]
    assert "(bomb.png)" in two["skipped"]["too many pixels"]["first"][0]
    assert list((tmp_path / "two").iterdir()) and images.opened(tmp_path / "two", verify=True)


def test_a_stopped_conversion_of_parquet_files_goes_on(table, tmp_path, monkeypatch):
    run(table, tmp_path / "right")
    real = stored.Growing.append
    for stop in (0, 6, 12):
        count = itertools.count()

        def stops(self, *args, stop=stop, count=count, **kwargs):
            real(self, *args, **kwargs)
            if next(count) == stop:
                raise Killed

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(stored.Growing, "append", stops)
            run(table, tmp_path / str(stop))
        run(table, tmp_path / str(stop))
        assert contents(tmp_path / str(stop)) == contents(tmp_path / "right")


def test_plain_parquet_files_are_read_with_and_without_labels(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"bytes": encoded(noise(k)), "path": None} for k in range(5)]
    rows += [None, {"bytes": None, "path": "/etc/hostname"}]
    parquet.write_table(
        pyarrow.table({"image": rows, "label": [*range(7)]}), tmp_path / "a.parquet"
    )
    parquet.write_table(pyarrow.table({"img": rows, "class": ["x"] * 7}), tmp_path / "b.parquet")
    facts = run(tmp_path / "a.parquet", tmp_path / "a")
    assert facts["skipped"] == {"empty file": {"count": 2, "first": ["row 5", "row 6 (hostname)"]}}
    assert np.array_equal(images.opened(tmp_path / "a").labels["class"], range(5))
    run(tmp_path / "b.parquet", tmp_path / "b")
    assert images.opened(tmp_path / "b").labels == {}
    parquet.write_table(pyarrow.table({"x": [1.0]}), tmp_path / "c.parquet")
    assert "must have a column of encoded images" in refused(
        run, tmp_path / "c.parquet", tmp_path / "c"
    )


def test_a_damaged_parquet_file_is_refused_by_name(table, tmp_path, caplog):
    from pyarrow import parquet

    files = sorted(table.iterdir())
    whole = files[1].read_bytes()
    start = parquet.read_metadata(files[1]).row_group(1).column(0).data_page_offset
    files[1].write_bytes(whole[:-9])
    assert refused(run, table, tmp_path / "out").startswith(f"{files[1]} must be a whole parquet")
    files[1].write_bytes(whole[:start] + b"\xff" * 40 + whole[start + 40 :])
    with caplog.at_level(logging.WARNING):
        message = refused(run, table, tmp_path / "out", chunk=5)
    assert message.startswith(f"{files[1]} cannot be read from row ") and not caplog.records
    files[1].write_bytes(whole)
    (tmp_path / "new").mkdir()
    for file in files:
        file.rename(file.with_name(file.name.replace("train", "test")))
    assert refused(run, table, tmp_path / "new").endswith("must hold 'train', got the splits test")


def test_a_name_that_the_hub_does_not_give_is_refused_in_one_line(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def unreachable(*args, **kwargs):
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(hub.HfApi, "dataset_info", unreachable)
    message = refused(run, "hub:someone/imagenet-1k", tmp_path / "out")
    assert message.startswith("hub:someone/imagenet-1k cannot be read from the Hugging Face hub: ")
    assert message.endswith("ConnectionError: no network") and not (tmp_path / "out").exists()


def test_a_name_on_the_hub_is_streamed_at_one_revision(table, tmp_path, monkeypatch):
    datasets, hub = pytest.importorskip("datasets"), pytest.importorskip("huggingface_hub")
    load, asked = datasets.load_dataset, []

    class Info:
        sha = "abc123"

    def local(name, config, revision, **options):
        asked.append((name, config, revision))
        return load("parquet", data_files={"train": sorted(map(str, table.iterdir()))}, **options)

    right = run(table, tmp_path / "right")
    monkeypatch.setattr(hub.HfApi, "dataset_info", lambda *args, **kwargs: Info)
    monkeypatch.setattr(datasets, "load_dataset", local)
    facts = run("hub:someone/imagenet-1k:full", tmp_path / "out")
    assert asked == [("someone/imagenet-1k", "full", "abc123")]
    assert facts["sha256"] == right["sha256"]
    assert facts["identity"]["source"]["revision"] == "abc123"


# the command


def test_the_command_tells_what_it_did(source, tmp_path, capsys):
    words = [str(source), str(tmp_path / "small"), "--size", "16", "--workers", "1"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.startswith("38 images: ")
    assert "stored as CMYK 1, L 1, RGB 36" in told.out
    assert "skipped, too many pixels: 3 (b/bomb.png, b/huge.png, b/vast.png)" in told.out
    assert images.opened(tmp_path / "small", verify=True).size == 16
    assert main([*words[:3], "8"]) == 2
    told = capsys.readouterr()
    head = "python -m jepabook.vision.convert: error: "
    assert told.err.startswith(f"{head}{tmp_path / 'small'} belongs to") and told.out == ""
    assert told.err.count("\n") == 1


# on a device


def test_pictures_are_taken_from_where_they_live(source, tmp_path):
    torch = pytest.importorskip("torch")
    run(source, tmp_path / "small")
    pixels = images.opened(tmp_path / "small").pixels
    rows = torch.tensor([5, 0, 7])
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    for device in devices:
        there = images.resident(pixels, device)
        assert isinstance(there, torch.Tensor) == (device == "cuda")
        assert np.array_equal(images.take(there, rows, device).cpu(), pixels[[5, 0, 7]])
    kept = torch.from_numpy(np.array(pixels))
    assert np.array_equal(images.take(kept, rows, "cpu"), pixels[[5, 0, 7]])
