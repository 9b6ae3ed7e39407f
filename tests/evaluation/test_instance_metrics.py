"""evaluation/instance_metrics.py against scikit-image, plain loops and values worked out by hand."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000

from evaluation import instance_metrics as metrics
from evaluation.color_metrics import ciede2000

B, N, H, W = 3, 4, 12, 20
RED, GREEN, BLUE, YELLOW = range(4)
PALETTE = torch.tensor([[60.0, 40.0], [-50.0, 45.0], [25.0, -65.0], [-5.0, 75.0]])

# Sharma, Wu, Dalal (2005), Table 1: L a b, L a b, difference. Neutral colours, opposite hues, hues on both sides of 0.
PUBLISHED = """
50 2.6772 -79.7751  50 0 -82.7485  2.0425;  50 -0.9009 -85.5211  50 0 -82.7485  1.0000
50 0 0  50 -1 2  2.3669;                    50 -1 2  50 0 0  2.3669
50 2.49 -0.001  50 -2.49 0.0009  7.1792;    50 2.49 -0.001  50 -2.49 0.0010  7.1792
50 2.49 -0.001  50 -2.49 0.0011  7.2195;    50 2.49 -0.001  50 -2.49 0.0012  7.2195
50 -0.001 2.49  50 0.0009 -2.49  4.8045;    50 -0.001 2.49  50 0.0010 -2.49  4.8045
50 -0.001 2.49  50 0.0011 -2.49  4.7461;    50 2.5 0  50 0 -2.5  4.3065
50 2.5 0  73 25 -18  27.1492;               50 2.5 0  61 -5 29  22.8977
50 2.5 0  56 -27 -3  31.9030;               50 2.5 0  58 24 15  19.4535
50 2.5 0  50 3.1736 0.5854  1.0000;         50 2.5 0  50 3.2972 0  1.0000
60.2574 -34.0099 36.2677  60.4626 -34.1751 39.4387  1.2644
61.2901 3.7196 -5.3901  61.4292 2.2480 -4.9620  1.8731
22.7233 20.0904 -46.6940  23.0331 14.9730 -42.5619  2.0373
90.9257 -0.5406 -0.9208  88.6381 -0.8985 -0.7239  1.5381
2.0776 0.0795 -1.1350  0.9033 -0.0636 -0.5514  0.9082
"""


def published():
    rows = PUBLISHED.replace(";", "\n").strip().splitlines()
    return torch.tensor([[float(number) for number in row.split()] for row in rows], dtype=torch.float64)


def random_lab(rng, *shape):
    low, high = np.array([0, -100, -110]), np.array([100, 100, 100])
    return torch.from_numpy(rng.uniform(low, high, (*shape, 3)))


def scene(colors):
    """Three pictures of four instances of different sizes, painted with `colors`, on a ground of wild colour."""
    rng = np.random.default_rng(1)
    masks = torch.zeros(B, N, H, W, dtype=torch.bool)
    for b in range(B):
        masks[b, 0, b : b + 3, 1:6] = True
        masks[b, 1, 5:11, 2 + b : 5 + b] = True
        masks[b, 2, 2:5, 10:19] = True
        masks[b, 3, 7 + b :, 12:14] = True
    lab = random_lab(rng, B, H, W).permute(0, 3, 1, 2)
    ab = metrics.paint(masks, PALETTE.double()[colors]) + torch.from_numpy(rng.normal(0, 3, (B, 2, H, W)))
    lab[:, 1:] = ab.where(masks.any(dim=1, keepdim=True), lab[:, 1:])
    return lab, masks


COLORS = torch.tensor([[RED, GREEN, BLUE, YELLOW], [BLUE, RED, YELLOW, YELLOW], [GREEN, YELLOW, RED, BLUE]])


def right(lab, masks, colors):
    """(B, N) bool: the mean ab inside the instance is nearest to the wanted colour."""
    return metrics.nearest_color(metrics.instance_means(lab, masks)[..., 1:], PALETTE) == colors


def test_ciede2000_is_scikit_images():
    rng = np.random.default_rng(0)
    a = random_lab(rng, 5, 1000)
    b = torch.cat([random_lab(rng, 3, 1000), a[3:] + torch.from_numpy(rng.normal(0, 2, (2, 1000, 3)))])
    a[0, :50, 1:] = 0  # one neutral
    a[1, :50, 1:] = b[1, :50, 1:] = 0  # both
    expected = deltaE_ciede2000(a.numpy(), b.numpy())
    assert ciede2000(a, b).dtype == torch.float64
    np.testing.assert_allclose(ciede2000(a, b), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ciede2000(a.movedim(2, 1), b.movedim(2, 1), dim=1), expected, rtol=0, atol=1e-9)


def test_ciede2000_of_the_published_pairs():
    table = published()
    assert table.shape == (23, 7)
    found = ciede2000(table[:, :3], table[:, 3:6])
    np.testing.assert_allclose(found, table[:, 6], rtol=0, atol=5.1e-5)
    np.testing.assert_allclose(found, deltaE_ciede2000(table[:, :3], table[:, 3:6]), rtol=0, atol=1e-9)
    assert ciede2000(table[:, :3], table[:, :3]).tolist() == [0.0] * 23
    assert ciede2000(table[:, None, :3].float(), table[None, :, 3:6]).shape == (23, 23)


def test_ciede2000_at_equal_l_depends_on_ab_alone():
    a, b = random_lab(np.random.default_rng(2), 2, 100)
    dark, bright = a.clone(), a.clone()
    dark[:, 0], bright[:, 0] = 3.0, 97.0
    torch.testing.assert_close(
        ciede2000(dark, torch.cat([dark[:, :1], b[:, 1:]], dim=1)),
        ciede2000(bright, torch.cat([bright[:, :1], b[:, 1:]], dim=1)),
    )


def test_ciede2000_of_opposite_hues_is_not_left_to_rounding():
    a = random_lab(np.random.default_rng(4), 1000)
    b = a * torch.tensor([1, -1, -1])
    hue = torch.atan2(b[:, 2], b[:, 1])
    nearer = hue - 1e-8 * (hue % math.tau - torch.atan2(a[:, 2], a[:, 1]) % math.tau).sign()  # |difference| below pi
    chroma = torch.hypot(b[:, 1], b[:, 2])
    almost = torch.stack([b[:, 0], chroma * torch.cos(nearer), chroma * torch.sin(nearer)], dim=1)
    np.testing.assert_allclose(ciede2000(a, b), deltaE_ciede2000(a, almost), rtol=0, atol=1e-4)


def test_instance_means_are_the_loop():
    lab, masks = scene(COLORS)
    masks[1, 2] = False
    means = metrics.instance_means(lab.float(), masks)
    assert means.shape == (B, N, 3) and means.dtype == torch.float64
    assert means[1, 2].isnan().all()
    for b, n in itertools.product(range(B), range(N)):
        if (b, n) != (1, 2):
            expected = lab[b].numpy()[:, masks[b, n].numpy()].mean(axis=1)
            np.testing.assert_allclose(means[b, n], expected, rtol=0, atol=1e-4)


def test_only_what_can_be_seen_and_is_named_is_right():
    lab, masks = scene(COLORS)
    wanted = COLORS.clone()
    wanted[0, 1] = -1  # not named
    masks[1, 2] = False  # hidden
    wanted[2, 0] = BLUE  # but painted green
    assert right(lab, masks, wanted).tolist() == [[1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]]


def test_exchanged_masks_are_noticed():
    lab, masks = scene(COLORS)
    assert right(lab, masks, COLORS).all()
    exchanged = masks[:, [1, 0, 2, 3]]
    correct = right(lab, exchanged, COLORS)
    assert correct.tolist() == [[0, 0, 1, 1]] * B
    target = metrics.paint(exchanged, PALETTE[COLORS])
    assert metrics.instance_color_error(lab, exchanged, target)[:, :2].min() > 20


def test_a_counter_caption_that_is_ignored_is_noticed():
    counter = torch.tensor([[GREEN, RED, YELLOW, BLUE], [RED, BLUE, GREEN, GREEN], [YELLOW, GREEN, BLUE, RED]])
    ignored, masks = scene(COLORS)
    obeyed, _ = scene(counter)
    assert not right(ignored, masks, counter).any()
    assert right(obeyed, masks, counter).all()
    target = metrics.paint(masks, PALETTE[counter])
    assert metrics.instance_color_error(obeyed, masks, target).max() < 6
    assert metrics.instance_color_error(ignored, masks, target).min() > 20


def test_a_prediction_that_is_no_number_is_wrong():
    lab, masks = scene(torch.full((B, N), RED))
    lab[0, 1] = math.nan
    assert right(lab, masks, torch.full((B, N), RED)).tolist() == [[False] * N, [True] * N, [True] * N]


def test_error_is_the_mean_over_pixels_at_the_pictures_own_l():
    lab, masks = scene(COLORS)
    truth, _ = scene(COLORS.flip(1))
    masks[0, 3] = False
    truth[:, 0] = lab[:, 0]
    error = metrics.instance_color_error(lab, masks, truth[:, 1:])
    maps = deltaE_ciede2000(lab.numpy(), truth.numpy(), channel_axis=1)
    pairs = zip(maps, masks.numpy(), strict=True)
    expected = [[m[mask].mean() if mask.any() else math.nan for mask in of_scene] for m, of_scene in pairs]
    np.testing.assert_allclose(error, expected, rtol=0, atol=1e-9)
    assert metrics.instance_color_error(lab, masks, lab[:, 1:]).nansum() == 0


def test_paint_gives_each_instance_its_colour():
    masks = torch.tensor([[[[1, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 1]]]], dtype=torch.bool)
    ab = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert metrics.owners(masks).tolist() == [[[0, 0, 2], [2, 1, 1]]]
    assert metrics.paint(masks, ab).tolist() == [[[[1, 1, 0], [0, 3, 3]], [[2, 2, 0], [0, 4, 4]]]]


def test_reference_rows_by_hand():
    # Three corners of a square, and a point near its middle.
    palette = torch.tensor([[40.0, 40.0], [-40.0, 40.0], [-40.0, -40.0], [9.0, 1.0]])
    colors = torch.tensor([[0, 2, -1], [3, 0, 0], [1, -1, -1]])
    words = torch.tensor([[6, 6, -1], [7, 8, 8], [6, -1, -1]])
    rows = metrics.reference_accuracy(colors, palette, colors, words)
    assert rows["chance"].tolist() == [[0.25, 0.25, 0], [0.25, 0.25, 0.25], [0.25, 0, 0]]
    assert rows["gray"].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert rows["one_color"].tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]  # 0 is wanted three times
    # means: (0, 0) -> 3; (89, 81) / 3 -> 0 at (10.3, 13), not 3 at (20.7, 26); one colour alone is known
    assert rows["mixture"].tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 0]]
    np.testing.assert_allclose(rows["guess"], [[1 / 2, 1 / 2, 0], [1 / 3, 2 / 3, 2 / 3], [1, 0, 0]])
    # 6 is of colours 0 and 2 in the first scene, whose mean is (0, 0) again; elsewhere words have one colour each
    assert rows["word_guess"].tolist() == [[1 / 2, 1 / 2, 0], [1, 1, 1], [1, 0, 0]]
    assert rows["word_mixture"].tolist() == [[0, 0, 0], [1, 1, 1], [1, 0, 0]]


def test_the_mixture_hears_colours_that_are_not_scored():
    colors, caption = torch.tensor([[RED, -1]]), torch.tensor([[RED, GREEN, BLUE]])
    rows = metrics.reference_accuracy(colors, PALETTE, caption, torch.zeros_like(colors))
    mixture = PALETTE[:3].double().mean(dim=0)
    assert rows["mixture"].tolist() == [[float(metrics.nearest_color(mixture, PALETTE) == RED), 0]]
    assert rows["guess"][0].tolist() == pytest.approx([1 / 3, 0])


def test_reference_rows_are_what_their_pictures_score():
    lab, masks = scene(COLORS)
    words = torch.arange(N).expand(B, N) // 2
    rows = metrics.reference_accuracy(COLORS, PALETTE, COLORS, words)
    commonest = PALETTE[COLORS.flatten().mode().values].expand(B, N, 2)
    mixture = PALETTE[COLORS].mean(dim=1, keepdim=True).expand(B, N, 2)
    for name, ab in (("gray", torch.zeros(B, N, 2)), ("one_color", commonest), ("mixture", mixture)):
        picture = torch.cat([lab[:, :1], metrics.paint(masks, ab.double())], dim=1)
        correct = right(picture, masks, COLORS)
        assert torch.equal(correct.double(), rows[name]), name
        assert correct.sum() < COLORS.numel() / 2


def textbook_rand_index(a, b):
    """From the contingency table, with scalars."""
    cells, rows, columns = Counter(zip(a, b, strict=True)), Counter(a), Counter(b)
    both, rows, columns = (sum(math.comb(n, 2) for n in counts.values()) for counts in (cells, rows, columns))
    expected = rows * columns / math.comb(len(a), 2)
    return (both - expected) / ((rows + columns) / 2 - expected)


def random_labels(scenes=6, patches=25):
    rng = np.random.default_rng(3)
    a = rng.integers(0, 4, (scenes, patches))
    b = np.where(rng.random(a.shape) < 0.5, a, rng.integers(0, 6, a.shape))
    return torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(rng.random(a.shape) < 0.7)


def test_rand_index_is_the_textbooks():
    a, b, valid = random_labels()
    expected = [textbook_rand_index(x.tolist(), y.tolist()) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(metrics.adjusted_rand_index(a, b), expected, rtol=0, atol=1e-12)
    expected = [textbook_rand_index(x[v].tolist(), y[v].tolist()) for x, y, v in zip(a, b, valid, strict=True)]
    np.testing.assert_allclose(metrics.adjusted_rand_index(a, b, valid), expected, rtol=0, atol=1e-12)


def test_rand_index_does_not_read_the_names():
    a, b, valid = random_labels()
    names = torch.tensor([700, -3, 5, 0, 2, 41])
    torch.testing.assert_close(
        metrics.adjusted_rand_index(a, names[b], valid), metrics.adjusted_rand_index(a, b, valid)
    )
    assert metrics.adjusted_rand_index(a, names[a]).tolist() == [1.0] * 6


def test_rand_index_by_hand_and_of_trivial_partitions():
    a = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [5, 5, 5, 5], [5, 5, 5, 5], [0, 1, 2, 3], [0, 1, 2, 3]])
    b = torch.tensor([[0, 0, 1, 2], [0, 1, 0, 1], [0, 1, 1, 1], [7, 7, 7, 7], [9, 8, 7, 6], [4, 4, 4, 4]])
    # rows 0 and 1: a = 2 of 6 pairs; b = 1, both = 1: (1 - 1/3) / (3/2 - 1/3); b = 2, both = 0: (-2/3) / (2 - 2/3)
    expected = torch.tensor([4 / 7, -1 / 2, 0, 1, 1, 0], dtype=torch.float64)
    torch.testing.assert_close(metrics.adjusted_rand_index(a, b), expected)
    one = torch.tensor([[True, False, False, False]])
    assert metrics.adjusted_rand_index(a[:1], b[:1], one).isnan().all()


def test_patches_take_the_instance_with_most_pixels():
    masks = torch.zeros(1, 2, 4, 6, dtype=torch.bool)
    masks[0, 0, :2, :2] = True  # 4 of 6 pixels of the first patch
    masks[0, 1, 1, 2:5] = True  # 1 of the first, 2 of the second: the ground has 4
    masks[0, 0, 2, :3] = True  # half of the third: a tie with the ground
    masks[0, 1, 2:, 3:] = True
    assert metrics.patch_labels(masks, grid=2).tolist() == [[0, 2, 0, 1]]
    assert metrics.patch_labels(masks.transpose(2, 3), grid=2).tolist() == [[0, 0, 2, 1]]


def test_groups_that_are_the_instances_score_one():
    masks = torch.zeros(B, N, 8, 12, dtype=torch.bool)
    for n, (row, column) in enumerate([(0, 0), (4, 3), (0, 6), (6, 9)]):
        masks[:, n, row : row + 2 * (n % 2 + 1), column : column + 3] = True
    labels = metrics.patch_labels(masks, grid=4)
    assert labels.shape == (B, 16) and labels.unique().tolist() == [0, 1, 2, 3, 4]
    groups = torch.tensor([6, 2, 0, 3, 5])[labels]  # of 7 groups
    assignment = torch.nn.functional.one_hot(groups, 7).transpose(1, 2).float() + torch.rand(B, 7, 16) / 2
    assert torch.equal(assignment.argmax(dim=1), groups)
    assert metrics.adjusted_rand_index(groups, labels).tolist() == [1.0] * B
    one_patch_off = groups.index_fill(1, torch.tensor([0]), 0)
    assert metrics.adjusted_rand_index(one_patch_off, labels, labels != N).max() < 1
