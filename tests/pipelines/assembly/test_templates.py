import numpy as np
import pytest
import tensorflow as tf

from pipelines.assembly import templates
from pipelines.assembly.judge import Judge
from pipelines.shared.errors import UserError


@pytest.fixture
def bar():
    """A stroke of 2 by 8 pixels in 12 by 12."""
    image = np.zeros((12, 12), np.float32)
    image[2:10, 5:7] = 1
    return image


def draw(drawings, ink, label, bounds=()):
    """Templates of drawings `[K, S, S]` that are the same for all ink, or `[K, Q, S, S]`."""
    drawings = drawings if len(bounds) else drawings[:, None]
    made = templates.Templates(drawings, bounds)
    return made.images(tf.constant(ink, tf.float32), tf.constant(label)).numpy()


def test_a_template_has_the_ink_that_is_asked_for(bar):
    drawings = np.stack([bar, bar.T])
    ink = [3.0, 16.0, 40.0, 100.0, 140.0, 30.0]
    images = draw(drawings, ink, [0, 1, 0, 1, 0, 1])
    assert images.shape == (6, 12, 12, 1)
    assert images.min() >= 0 and images.max() <= 1
    np.testing.assert_allclose(images.sum(axis=(1, 2, 3)), ink, rtol=0.02)


def test_strokes_grow_around_those_of_the_drawing(bar):
    thin, same, bold = draw(bar[None], [8.0, 16.0, 40.0], [0, 0, 0])[..., 0]
    assert (thin <= same).all() and (same <= bold).all()
    # What is inked in the drawing is inked first.
    inside = bar > 0
    for image in (thin, same, bold):
        assert image[inside].min() > image[~inside].max() - 1e-6
    # With its own amount of ink a template is its drawing.
    assert ((same > 0.5) == inside).all()


def test_the_ink_decides_which_drawing_of_a_label_is_taken(bar):
    drawings = np.stack([[bar, bar.T], [bar.T, bar]])
    ink, label = [8.0, 29.9, 30.0, 8.0, 60.0], [0, 0, 0, 1, 1]
    images = draw(drawings, ink, label, bounds=[30.0])[..., 0]
    for image, expected in zip(images, [bar, bar, bar.T, bar.T, bar], strict=True):
        inside = expected > 0
        assert image[inside].min() > image[~inside].max()


def test_less_ink_than_none_and_more_than_fits_stay_in_range(bar):
    images = draw(bar[None], [0.0, 1e6], [0, 0])
    assert images[0].max() < 0.01
    assert images[1].min() > 0.99


def test_choose_takes_the_drawing_that_judges_like(rng):
    """Pieces of a filled square make a bar across or a bar down; judges like one."""
    across, down, square = (np.zeros((12, 12, 1), np.uint8) for _ in range(3))
    across[5:7, 1:11], down[1:11, 5:7], square[3:7, 3:7] = 255, 255, 255
    images = np.stack([across, down] * 6 + [square] * 10)
    labels = np.repeat([1, 0], [12, 10])

    def judge(image_of_1):
        def network(images, training):
            small = tf.image.resize(image_of_1[None] / np.float32(255), [28, 28])
            likeness = tf.reduce_sum(images * small, [1, 2, 3]) - 10.0
            return tf.stack([tf.zeros_like(likeness), likeness], axis=1)

        return Judge("a", network, {})

    for wanted in (across, down):
        chosen = templates.choose(images, labels, 2, 6, [judge(wanted)])
        assert chosen.drawings.shape == (2, 3, 12, 12)
        for drawing in chosen.drawings[1]:
            assert drawing[wanted[..., 0] > 0].mean() > 0.6
            assert drawing[0].max() == 0


def test_a_label_without_images_is_refused():
    images, labels = np.zeros((3, 6, 6, 1), np.uint8), np.array([0, 2, 2])
    with pytest.raises(UserError, match="Received: none of label 1"):
        templates.choose(images, labels, 3, 2, [])


def test_no_ink_of_an_image_is_near_a_bound(rng):
    images = rng.integers(0, 256, (30, 4, 4, 3), np.uint8)
    # The sums of the means of channels, in another order and precision.
    inks = images[:, ::-1].astype(np.float32).mean(axis=-1).sum(axis=(1, 2)) / 255
    bounds = templates.bounds_of_ink(images)
    assert len(bounds) == 2
    assert np.abs(inks[:, None] - bounds).min() > 0.4 / (3 * 255)
    np.testing.assert_allclose(
        (inks[:, None] < bounds).mean(axis=0), [0.1, 0.5], atol=0.04
    )
    assert len(templates.bounds_of_ink(images[[0, 0]])) == 1


def test_choose_depends_on_the_seed_alone(rng, monkeypatch):
    monkeypatch.setattr(templates, "_POOL", 6)
    images = rng.integers(0, 256, (40, 6, 6, 1), np.uint8)
    labels = np.arange(40) % 2

    def network(images, training):
        return tf.reshape(images, [len(images), -1])[:, :2]

    judges = [Judge("a", network, {})]
    first, again, other = (
        templates.choose(images, labels, 2, 3, judges, seed).drawings
        for seed in (0, 0, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_templates_are_chosen_once_and_read_again(tmp_path, bar):
    path, made = str(tmp_path / "templates.npz"), []

    def make():
        made.append(1)
        return templates.Templates(np.stack([[bar, bar.T]]), [20.0])

    for _ in range(2):
        known = templates.load_or_choose(path, make)
        np.testing.assert_array_equal(known.drawings, [[bar, bar.T]])
        np.testing.assert_array_equal(known.bounds, [20.0])
    assert made == [1]
