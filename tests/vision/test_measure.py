"""What is measured of a model: stimuli, representations, effective rank and linear probes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jepabook.vision import batches, images, measure, subspaces
from jepabook.vision.measure import Stimuli, effective_rank, probe, representations
from jepabook.vision.model import Config
from jepabook.vision.objectives import ImageJEPA, ImageMAE

CONFIG = Config(8, 2, 8, 1, 2, 4, 1, 1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def shown(count=11, seed=0):
    """Three views that have nothing to do with each other."""
    generator = seeded(seed)
    views = {view: torch.randn(count, 3, 8, 8, generator=generator) for view in subspaces.WHICH}
    return Stimuli(views, {})


# stimuli


def test_stimuli_are_whole_and_projected_pictures_in_the_training_set_s_colours():
    # neighbours alike, as in photographs
    steps = np.random.default_rng(0).normal(size=(60, 8, 8, 3)).cumsum(1).cumsum(2)
    pixels = np.clip(128 + 9 * steps, 0, 255).astype(np.uint8)
    pictures = images.ImageSet("walks", pixels, {"number": np.arange(60)}, {})
    split, colours = subspaces.fit(pixels, device="cpu"), batches.colours(pixels[:30])
    found = measure.stimuli(pictures, split, colours)
    assert set(found.views) == {"full", "top", "bottom"} and found.labels is pictures.labels
    full = batches.prepared(torch.from_numpy(pixels), *colours)
    torch.testing.assert_close(found.views["full"], full, rtol=0, atol=1e-5)
    # both projections keep the mean picture
    mean = torch.tensor(split.mean.reshape(1, 8, 8, 3), dtype=torch.float32)
    both = found.views["top"] + found.views["bottom"] - batches.prepared(mean, *colours)
    torch.testing.assert_close(both, full, rtol=0, atol=1e-4)
    spread = {view: x.var(0, correction=0).sum() for view, x in found.views.items()}
    assert spread["top"] > spread["bottom"] > 0


# representations


class Counting:
    """A model whose tokens tell which patch of which picture they are of."""

    config = SimpleNamespace(patches=16)

    def encode(self, pictures, pool, online):
        assert pool == "none"
        patch = torch.arange(16.0).expand(len(pictures), 16)
        picture = pictures[:, 0, 0, :1].expand(-1, 16)
        return torch.stack([picture, patch], dim=2)


@pytest.mark.parametrize("block", [1, 4, 300])
def test_the_patch_of_a_picture_is_the_same_one_in_all_views_and_any_one(block):
    stimuli = shown(300)
    found = representations(Counting(), stimuli, block=block)
    assert set(found) == {(view, pool) for view in subspaces.WHICH for pool in measure.POOLS}
    for view, pictures in stimuli.views.items():
        assert torch.equal(found[view, "patch"][:, 0], pictures[:, 0, 0, 0])
        assert torch.equal(found[view, "patch"][:, 1], found["full", "patch"][:, 1])
        torch.testing.assert_close(found[view, "mean"][:, 1], torch.full((300,), 7.5))
    chosen = found["full", "patch"][:, 1]
    assert torch.bincount(chosen.int(), minlength=16).min() > 3
    other = representations(Counting(), stimuli, seed=1)["full", "patch"][:, 1]
    assert not torch.equal(chosen, other)
    assert torch.equal(representations(Counting(), shown(7))["top", "patch"][:, 1], chosen[:7])


@pytest.mark.parametrize("kind", [ImageMAE, ImageJEPA])
def test_representations_are_the_evaluated_encoder_s_or_the_online_one_s(kind):
    network, stimuli = kind(CONFIG, seed=1), shown()
    with torch.no_grad():
        for parameter in network.encoder.parameters():
            parameter += 0.1
    target, online = (
        representations(network, stimuli, online=online, block=4) for online in (False, True)
    )
    for view, pictures in stimuli.views.items():
        torch.testing.assert_close(target[view, "mean"], network.encode(pictures))
        torch.testing.assert_close(online[view, "mean"], network.encoder(pictures).mean(1).detach())
        tokens = network.encode(pictures, pool="none")
        away = (target[view, "patch"][:, None] - tokens).abs().amax(2)
        assert (away.amin(1) < 1e-5).all() and not target[view, "patch"].requires_grad
        same = torch.equal(target[view, "mean"], online[view, "mean"])
        assert same == (kind is ImageMAE)


@pytest.mark.parametrize(("name", "least"), [("block", 1), ("seed", 0)])
def test_bad_sizes_are_refused_in_one_line(name, least):
    with pytest.raises(ValueError, match=rf"^{name} must be an integer >= {least}, got -1$"):
        representations(ImageMAE(CONFIG), shown(), **{name: -1})


# effective rank


def test_the_effective_rank_of_equal_directions_is_their_number_and_of_a_line_one():
    for width in (1, 3, 8):
        equal = torch.cat([torch.eye(width), -torch.eye(width)])
        assert effective_rank(equal) == pytest.approx(width)
    line = torch.arange(9.0)[:, None] * torch.randn(5, generator=seeded())
    assert effective_rank(line + 3) == pytest.approx(1)
    assert np.isnan(effective_rank(torch.zeros(4, 2)))


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=6), st.integers(0, 10**6))
def test_the_effective_rank_is_that_of_the_covariance_s_eigenvalues(values, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, len(values)))
    # orthonormal columns without mean
    x = np.linalg.qr(np.column_stack([np.ones(40), x]))[0][:, 1:]
    turn = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
    x = (x * np.sqrt(values)) @ turn + rng.standard_normal(len(values))
    expected = sum(values) ** 2 / sum(value**2 for value in values)
    assert effective_rank(torch.tensor(x)) == pytest.approx(expected)
    assert effective_rank(torch.tensor(7 * x + 1)) == pytest.approx(expected)
    assert 1 - 1e-9 <= expected <= len(values) + 1e-9


# probes


def labelled(count, classes, away, seed):
    """Clusters of deviation 1 whose centres are `away` times unit vectors."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    x = away * np.eye(classes, 6)[labels] + rng.standard_normal((count, 6))
    return torch.tensor(x, dtype=torch.float32), labels


def test_a_probe_finds_labels_that_are_separable_whatever_the_scales():
    train, test = labelled(300, 4, 30, 0), labelled(200, 4, 30, 1)
    scales = torch.tensor([1e-3, 1, 1e3, 1, 1, 0]) + torch.zeros(1, 6)
    for scale in (torch.ones(1, 6), scales):
        accuracy, chance = probe(train[0] * scale + 5, train[1], test[0] * scale + 5, test[1])
        assert accuracy == 1
        commonest = np.bincount(train[1]).argmax()
        assert chance == np.mean(test[1] == commonest)


def test_a_probe_of_labels_that_have_nothing_to_do_with_the_pictures_is_near_chance():
    train, test = labelled(600, 3, 0, 2), labelled(600, 3, 0, 3)
    accuracy, chance = probe(*train, *test)
    assert abs(accuracy - 1 / 3) < 5 * (2 / 9 / 600) ** 0.5
    assert abs(chance - 1 / 3) < 5 * (2 / 9 / 600) ** 0.5


def test_a_probe_s_accuracy_is_of_labels_it_has_not_seen():
    train = labelled(40, 2, 0, 4)
    wide = torch.randn(40, 200, generator=seeded())
    other = torch.randn(400, 200, generator=seeded(1))
    accuracy, _ = probe(wide, train[1], other, labelled(400, 2, 0, 5)[1])
    assert probe(wide, train[1], wide, train[1])[0] > 0.9
    assert abs(accuracy - 0.5) < 5 * (0.25 / 400) ** 0.5
