"""Every promise of the scenes is checked on the pictures and the sentences, not on the numbers they were made from."""

import hashlib
import re

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from datasets.batch import Collate
from datasets.scenes import BACKGROUNDS, COLORS, HELD_OUT, PALETTE, PLACES, SHAPES, SPLITS, Rules, Scenes
from datasets.scenes import palette as scene_palette
from datasets.scenes.draws import draw
from datasets.scenes.palette import CLOUD, CLOUD_RADIUS, DARKEST, LEVEL_STEP, LIGHTEST, NATURAL, lookup
from datasets.scenes.raster import rasterize
from datasets.scenes.shapes import backgrounds
from datasets.words import color_words
from models.text import MAX_WORDS, CaptionTokenizer
from utils.color import rgb_to_lab
from utils.errors import InputError

COUNTER = frozenset({"counter"})

NOUNS = list(SHAPES)
CENTERS = torch.tensor(list(PALETTE.values()), dtype=torch.float64)  # (C, 2)
EVALUATED = ("clear", "instances", "unobserved", "luminance")
SIDE = 48


@pytest.fixture(scope="module")
def batches():
    return {split: Scenes(split, SIDE, 120, seed=3).render(range(120)) for split in SPLITS}


def mean_lab(rgb, masks):
    """(B, 3, H, W) uint8 and (B, N, H, W) bool -> (B, N, 3); NaN where a mask is empty."""
    lab = rgb_to_lab(rgb.double() / 255)
    return torch.einsum("bchw,bnhw->bnc", lab, masks.double()) / masks.sum(dim=(2, 3))[..., None]


def nearest(lab):
    return torch.cdist(lab[..., 1:], CENTERS).argmin(dim=-1)


def centroid(mask):
    """(x, y) in [0, 1] of a mask (H, W)."""
    rows, columns = mask.nonzero().double().unbind(1)
    return float(columns.mean() + 0.5) / mask.shape[1], float(rows.mean() + 0.5) / mask.shape[0]


def clauses(caption):
    """(noun, colour, words) of every thing that the sentence names, the background too."""
    found = []
    for part in re.split(r", | and |(?<=\w) there is ", caption):
        words = part.split()
        (color,) = (color_words.family(part[a:b]) for a, b in color_words.find(part))
        (noun,) = (word for word in words if word in NOUNS or word in BACKGROUNDS)
        found.append((noun, color, words))
    return found


def untrue(words, mask):
    """Whether a word of place is not true of the mask."""
    x, y = centroid(mask)
    across, down = {"left", "right"} & set(words), {"top", "bottom"} & set(words)
    checks = {"left": x < 0.42, "right": x > 0.58, "top": y < 0.42, "bottom": y > 0.58}
    checks["middle"] = (across or 0.34 < x < 0.66) and (down or 0.34 < y < 0.66)
    return any(word in words and not true for word, true in checks.items())


def disagreements(batch, i):
    """What caption i and counter caption i say wrongly, judged by the picture's colours in the masks."""
    seen = nearest(mean_lab(batch.rgb[i : i + 1], batch.masks[i : i + 1]))[0].tolist()
    there = [k for k in range(5) if batch.masks[i, k].any()]
    by_color = {COLORS[seen[k]]: k for k in there}
    wrong, mentioned = [], []
    told, told_instead = clauses(batch.captions[i]), clauses(batch.counter_captions[i])
    if len(told) != len(told_instead):
        return ["counter caption: another sentence"]
    pairs = list(zip(told, told_instead, strict=True))
    for (noun, color, words), (other_noun, other, other_words) in pairs:
        if [w for w in words if w not in (color, "a", "an")] != [w for w in other_words if w not in (other, "a", "an")]:
            wrong.append(f"counter caption: {other_words} for {words}")
        if noun in BACKGROUNDS:
            told = (BACKGROUNDS.index(noun), COLORS.index(color), COLORS.index(other))
            if told != (batch.background[i], batch.background_color[i], batch.background_color[i]):
                wrong.append(f"background: {words}")
            continue
        k = by_color.get(color)
        mentioned.append(k)
        if k is None or NOUNS[batch.shapes[i, k]] != noun or COLORS[batch.colors[i, k]] != color:
            wrong.append(f"no {color} {noun}")
        elif untrue(words, batch.masks[i, k]):
            wrong.append(f"not there: {words}")
        elif COLORS[batch.counter_colors[i, k]] != other or other_noun != noun:
            wrong.append(f"counter colour: {other} {other_noun}")
    if sorted(map(str, mentioned)) != [str(k) for k in range(5) if batch.named[i, k]]:
        wrong.append(f"named: {mentioned}")
    if sum(noun in BACKGROUNDS for (noun, _, _), _ in pairs) != batch.background_named[i]:
        wrong.append("background named")
    return wrong


@pytest.mark.parametrize("split", SPLITS)
def test_captions_say_what_the_picture_shows(batches, split):
    batch = batches[split]
    assert [found for i in range(120) for found in disagreements(batch, i)] == []


@pytest.mark.parametrize("what", ["masks", "colors", "counter_colors", "captions", "counter_captions"])
def test_exchanging_two_instances_is_noticed(batches, what):
    """Guards the judge of the test above."""
    for i in range(20):
        batch = Scenes("instances", SIDE, 120, seed=3).render([i, i + 20])
        values = getattr(batch, what)
        if isinstance(values, list):
            values.reverse()
            assert disagreements(batch, 0)
        else:
            if what == "counter_colors" and values[0, 0] == values[0, 1]:
                continue
            values[0, [0, 1]] = values[0, [1, 0]]
            assert disagreements(batch, 0)


@pytest.mark.parametrize("split", SPLITS)
def test_masks_show_their_palette_colors(batches, split):
    batch = batches[split]
    there = batch.colors >= 0
    assert torch.equal(there, batch.masks.any(dim=3).any(dim=2)) and torch.equal(there, batch.shapes >= 0)
    assert (batch.masks.sum(dim=1) + batch.background_mask.long() == 1).all()  # every pixel is in just one
    assert batch.masks.sum(dim=(2, 3))[there].min() > 0.005 * SIDE * SIDE
    assert (nearest(mean_lab(batch.rgb, batch.masks))[there] == batch.colors[there]).double().mean() >= 0.995
    behind = mean_lab(batch.rgb, batch.background_mask[:, None])[:, 0]
    assert (nearest(behind) == batch.background_color).double().mean() >= 0.995
    everything = torch.cat([batch.colors, batch.background_color[:, None]], dim=1).tolist()
    assert all(len(set(colors) - {-1}) == 6 - colors.count(-1) for colors in everything)


def test_masks_cover_their_objects_and_nothing_else():
    """Another light for one instance alone changes the pixels of its mask and no others; the last lies in front."""
    scenes = Scenes("clear", 64, 30)
    draws = draw("clear", 0, range(30), scenes.rules)

    def paint(draws):
        return rasterize(draws, 64, backgrounds(64))

    for k in (0, 1):
        lighter = draws.light.copy()
        lighter[:, k] += 9.0
        changed = (paint(draws)[0] != paint(draws._replace(light=lighter))[0]).any(axis=1)
        assert np.array_equal(changed, scenes.render(range(30)).masks[:, k].numpy())
    last = np.arange(5) == draws.count[:, None] - 1
    _, alone = paint(draws._replace(shape=np.where(last, draws.shape, -1)))
    assert np.array_equal(alone > 0, paint(draws)[1] == draws.count[:, None, None])


@pytest.mark.parametrize("noun", NOUNS)
def test_shapes_fill_their_square_and_do_not_leave_it(noun):
    place = np.linspace(-1.5, 1.5, 301, dtype=np.float32)
    depth, _ = SHAPES[noun](place[None, :], place[:, None])
    rows, columns = np.nonzero(depth > 0)
    extent = np.abs(np.concatenate([place[rows], place[columns]])).max()
    assert 0.85 < extent <= 1.0
    assert 0.3 < (depth > 0).sum() * 0.01**2 < 3.2


def test_the_words_small_and_large_are_true(batches):
    def side(mask):
        rows, columns = mask.nonzero().unbind(1)
        return max(int(v.max() - v.min()) + 1 for v in (rows, columns))

    seen = 0
    for i, caption in enumerate(batches["clear"].captions):
        sizes = {"small": [], "large": []}
        for noun, _, words in clauses(caption):
            if noun in NOUNS:
                k = batches["clear"].shapes[i].tolist().index(NOUNS.index(noun))
                for size in {"small", "large"} & set(words):
                    sizes[size].append(side(batches["clear"].masks[i, k]))
        if sizes["small"] and sizes["large"]:
            seen += 1
            assert max(sizes["small"]) < 1.15 * min(sizes["large"])  # one may be partly hidden
            assert np.mean(sizes["small"]) < np.mean(sizes["large"])
    assert seen > 15


def test_noun_that_stands_twice_is_told_apart_by_its_place(batches):
    for split in SPLITS:
        for i, caption in enumerate(batches[split].captions):
            nouns = batches[split].shapes[i].tolist()
            for noun, _, words in clauses(caption):
                if noun in NOUNS and nouns.count(NOUNS.index(noun)) > 1:
                    assert {"left", "right", "middle", "top", "bottom"} & set(words), caption


def test_every_instance_has_a_place_that_is_true_and_its_own(batches):
    for batch in batches.values():
        assert ((batch.places >= 0) == (batch.shapes >= 0)).all()
        for places, masks in zip(batch.places.tolist(), batch.masks, strict=True):
            own = [(PLACES[place].split(), mask) for place, mask in zip(places, masks, strict=True) if place >= 0]
            assert not any(untrue(words, mask) for words, mask in own)
            assert len({tuple(words) for words, _ in own}) == len(own)


def test_clear_has_each_noun_once_and_instances_one_in_two_colors(batches):
    for split in EVALUATED:
        for shapes, colors in zip(batches[split].shapes.tolist(), batches[split].colors.tolist(), strict=True):
            shapes, colors = ([v for v in values if v >= 0] for values in (shapes, colors))
            assert len(set(colors)) == len(colors) >= 2
            assert (len(set(shapes)) < len(shapes)) == (split == "instances")
    assert batches["instances"].named.equal(batches["instances"].colors >= 0)


def test_instances_come_in_every_number(batches):
    for split in SPLITS:
        assert set((batches[split].colors >= 0).sum(dim=1).tolist()) == {2, 3, 4, 5}


def test_held_out_pairs_are_in_unobserved_alone(batches):
    def share(split, colors):
        there = batches[split].named
        pairs = zip(batches[split].shapes[there].tolist(), colors[there].tolist(), strict=True)
        return np.mean([NOUNS[noun] in HELD_OUT[COLORS[color]] for noun, color in pairs])

    for split in SPLITS:
        assert share(split, batches[split].colors) == (split == "unobserved")
        if split != "unobserved":
            assert share(split, batches[split].counter_colors) == 0  # training must not even hear of them


def test_every_color_and_noun_still_occurs_in_training():
    assert list(HELD_OUT) == list(COLORS) and set(color_words.CHROMATIC) == set(COLORS)
    assert all(len(set(nouns)) == 3 and set(nouns) <= set(NOUNS) for nouns in HELD_OUT.values())
    assert all(sum(noun in nouns for nouns in HELD_OUT.values()) == 2 for noun in NOUNS)


def test_luminance_goes_with_against_or_free_of_the_color(batches):
    def correlation(split):
        there = batches[split].colors >= 0
        light = mean_lab(batches[split].rgb, batches[split].masks)[there][:, 0]
        return np.corrcoef(light, NATURAL[batches[split].colors[there]])[0, 1]

    assert correlation("train") > 0.7 and correlation("val") > 0.7
    assert correlation("luminance") < -0.7
    for split in ("clear", "instances", "unobserved"):
        assert abs(correlation(split)) < 0.15


def test_counter_colors_are_permuted_or_replaced(batches):
    modes = []
    for split in SPLITS:
        batch = batches[split]
        for i in range(120):
            named = batch.named[i]
            before, after = batch.colors[i][named].tolist(), batch.counter_colors[i][named].tolist()
            assert all(a != b for a, b in zip(before, after, strict=True)) and before
            assert torch.equal(batch.colors[i][~named], batch.counter_colors[i][~named])
            permuted = sorted(before) == sorted(after)
            assert permuted or not set(after) & {*batch.colors[i].tolist(), int(batch.background_color[i])}
            modes.append(permuted)
    assert 0.25 < np.mean(modes) < 0.6
    assert (~batches["clear"].named & (batches["clear"].colors >= 0)).any()  # some captions tell only a part


def test_captions_are_known_words_in_many_forms(batches):
    tokenizer = CaptionTokenizer.from_vocabulary()
    unknown = tokenizer.tokenizer.token_to_id("[UNK]")
    for batch in batches.values():
        for text in (batch.captions, batch.counter_captions):
            words = tokenizer(text)
            assert words.ids.shape[1] < MAX_WORDS and not (words.ids == unknown).any()
            counts = [len(re.findall(r"\w+|,", caption)) + 2 for caption in text]
            assert words.mask.sum(dim=1).tolist() == counts  # one token a word
            assert not any(re.search(r"\ba (?=[aeiou])|\ban (?![aeiou])|  | ,|^ | $", caption) for caption in text)
    starts = {caption.split()[0] for caption in batches["train"].captions}
    assert starts >= {"a", "the", "there", "on", "in", "at", "under"}


def test_scene_is_the_same_in_every_batch_and_size(batches):
    for split in ("train", "unobserved"):
        scenes, whole = Scenes(split, SIDE, 120, seed=3), batches[split]
        mixed = scenes.render([7, 90, 3])
        for place, i in enumerate((7, 90, 3)):
            alone = scenes.render([i])
            for field in ("rgb", "masks", "colors", "counter_colors", "named", "shapes", "places", "background_color"):
                assert torch.equal(getattr(whole, field)[i], getattr(alone, field)[0]), field
                assert torch.equal(getattr(whole, field)[i], getattr(mixed, field)[place]), field
            assert whole.captions[i] == alone.captions[0] == mixed.captions[place]
            assert whole.counter_captions[i] == alone.counter_captions[0]
            assert torch.equal(whole.rgb[i], scenes[i].rgb) and scenes[i].caption == whole.captions[i]
    small, large = (Scenes("clear", size, 9).render(range(9)) for size in (32, 80))
    assert small.captions == large.captions and small.names == large.names


def test_scenes_never_change():
    """The bytes that every machine must make. A new hash means that old figures hold no more: say so, and why."""
    digest = hashlib.sha256()
    for split in SPLITS:
        batch = Scenes(split, 33, 12, seed=5).render(range(12))
        for tensor in (batch.rgb, batch.masks, batch.colors, batch.counter_colors, batch.named, batch.shapes):
            digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
        digest.update("\n".join([*batch.captions, *batch.counter_captions, *batch.names]).encode())
    assert digest.hexdigest()[:16] == "40b1b6c74eb3347c"


def test_no_byte_of_the_palette_hangs_on_the_last_bit(monkeypatch):
    """Powers, which machines round differently, enter through this table alone: there is a gap around every choice."""
    scaled = scene_palette.srgb() * 255
    inside = (scaled > 0.1) & (scaled < 254.9)
    assert ((scaled - scaled.floor())[inside] - 0.5).abs().min() > 1e-9
    for share in (1 - 1e-9, 1 + 1e-9):
        monkeypatch.setattr(scene_palette, "_IN_GAMUT", 0.05 * share)
        assert torch.equal(scene_palette.srgb() * 255, scaled)


def test_palette_is_as_far_apart_as_its_comment_says():
    apart = torch.cdist(CENTERS, CENTERS) + 1000 * torch.eye(len(COLORS))
    assert apart.min() >= 23.0 and apart.min() >= 4.6 * CLOUD_RADIUS
    assert CENTERS.norm(dim=1).min() >= 22.2


def test_colors_are_clouds_and_keep_their_hue_at_every_luminance(batches):
    assert np.hypot(*CLOUD.T).max() == CLOUD_RADIUS
    table = torch.from_numpy(lookup()).view(3, len(COLORS), len(CLOUD), 256)
    levels = range(round(DARKEST / LEVEL_STEP) - 25, round(LIGHTEST / LEVEL_STEP) + 35, 10)
    for level in levels:
        lab = rgb_to_lab(table[:, :, :, level].permute(1, 0, 2)[..., None].double() / 255)[..., 0]  # (C, 3, P)
        assert (lab[:, 0] - level * LEVEL_STEP).abs().max() < 0.8  # the gray picture keeps the light
        wanted = CENTERS[:, :, None] + torch.from_numpy(CLOUD).T
        turn = torch.atan2(lab[:, 2], lab[:, 1]) - torch.atan2(wanted[:, 1], wanted[:, 0])
        assert torch.rad2deg(torch.remainder(turn + torch.pi, 2 * torch.pi) - torch.pi).abs().max() < 6
        assert (lab[:, 1:].norm(dim=1) < wanted.norm(dim=1) + 1.5).all()  # never more chroma
    there = batches["clear"].colors == COLORS.index("tan")
    ab = mean_lab(batches["clear"].rgb, batches["clear"].masks)[there][:, 1:]
    assert (ab.std(dim=0) > 1.5).all()


def test_epochs_go_on_and_streams_differ():
    train = Scenes("train", 16, 10)
    first, longer = train.render(range(10)), Scenes("train", 16, 20).render(range(20))
    train.epoch = 1
    second = train.render(range(10))
    assert torch.equal(torch.cat([first.rgb, second.rgb]), longer.rgb)
    assert longer.names[10:] == second.names
    assert second.names[0] == train[0].name == "train_000010.png" and train[0].index == 0
    assert len({*longer.captions}) == 20
    fixed = Scenes("val", 16, 10)
    before = fixed.render(range(10))
    fixed.epoch = 1
    assert torch.equal(before.rgb, fixed.render(range(10)).rgb)
    assert not torch.equal(before.rgb, first.rgb)
    assert not torch.equal(first.rgb, Scenes("train", 16, 10, seed=1).render(range(10)).rgb)


def test_loader_gives_the_same_with_and_without_workers():
    scenes = Scenes("train", 24, 11, inputs=COUNTER)
    collate = Collate(CaptionTokenizer.from_vocabulary(), counter=True)
    alone, shared = ([*DataLoader(scenes, 4, num_workers=n, collate_fn=collate)] for n in (0, 2))
    assert [batch.rgb.shape[0] for batch in alone] == [4, 4, 3]
    for a, b in zip(alone, shared, strict=True):
        assert torch.equal(a.rgb, b.rgb) and a.captions == b.captions and a.names == b.names and a.indices == b.indices
        assert torch.equal(a.counter_words.ids, b.counter_words.ids) and a.has_counter.all()
    assert alone[2].indices == [8, 9, 10]
    assert alone[0].names == scenes.render(range(4)).names and alone[0].captions == scenes.render(range(4)).captions
    assert scenes[0].counter_caption == scenes.render([0]).counter_captions[0]
    assert Scenes("train", 24, 11)[0].counter_caption is None


@pytest.mark.parametrize("split", SPLITS)
def test_curriculum_begins_with_few(split):
    scenes = Scenes(split, 16, 200, rules=Rules(2, 2, 6, 5))
    batch = scenes.render(range(200))
    assert ((batch.colors >= 0).sum(dim=1) == 2).all()
    for used, most in ((batch.colors, 6), (batch.counter_colors, 6), (batch.background_color, 6), (batch.shapes, 5)):
        assert set(used.flatten().tolist()) - {-1} == set(range(most))
    assert (batch.colors[batch.named] != batch.counter_colors[batch.named]).all()
    pairs = zip(batch.shapes[:, :2].flatten().tolist(), batch.colors[:, :2].flatten().tolist(), strict=True)
    assert {NOUNS[noun] in HELD_OUT[COLORS[color]] for noun, color in pairs} == {split == "unobserved"}


def test_curriculum_is_of_the_first_epochs_of_training_alone():
    few, every = Scenes("train", 24, 200, curriculum=2), Scenes("train", 24, 200)
    for epoch, counts in ((0, {2}), (1, {2}), (2, {2, 3, 4, 5})):
        few.epoch = every.epoch = epoch
        batch = few.render(range(200))
        assert set((batch.colors >= 0).sum(dim=1).tolist()) == counts
        if epoch < 2:
            assert batch.colors.max() == 5 and batch.counter_colors.max() <= 5 and batch.shapes.max() == 4
        else:
            assert batch.captions == every.render(range(200)).captions
    val, other = (Scenes("val", 24, 50, curriculum=epochs).render(range(50)) for epochs in (2, 0))
    assert val.captions == other.captions


def test_indices_beyond_are_refused():
    scenes = Scenes("train", 16, 4)
    assert len(scenes) == 4
    with pytest.raises(IndexError):
        scenes[4]
    with pytest.raises(IndexError):
        scenes.render([-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "test"}, "'test'.*clear"),
        ({"size": 15}, "size 15"),
        ({"length": 0}, "length 0"),
        ({"seed": -1}, "seed -1"),
        ({"rules": Rules(min_instances=1)}, "1 to 5"),
        ({"rules": Rules(max_instances=6)}, "2 to 6"),
        ({"rules": Rules(min_instances=4, max_instances=3)}, "4 to 3"),
        ({"rules": Rules(num_colors=8)}, "8 colours for 5 instances: pass 9 to 10"),
        ({"rules": Rules(num_colors=11)}, "11 colours"),
        ({"rules": Rules(num_shapes=4)}, "4 shapes: pass 5 to 15"),
    ],
)
def test_wrong_numbers_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        Scenes(**{"split": "clear", "size": 16, "length": 1} | change)


@pytest.mark.parametrize("split", ["train", "instances"])
def test_two_descriptions_of_a_scene_say_the_same(split):
    scenes = Scenes(split, SIDE, 60, seed=3)
    batch, pairs = scenes.render(range(60)), scenes.descriptions(range(60))
    assert [first for first, _ in pairs] == batch.captions
    assert sum(first != second for first, second in pairs) > 50
    for i, (first, second) in enumerate(pairs):
        told, again = ([(n, c) for n, c, _ in clauses(text) if n in NOUNS] for text in (first, second))
        assert sorted(told) == sorted(again)
        for noun, color, words in clauses(second):
            if noun in NOUNS:
                k = batch.colors[i].tolist().index(COLORS.index(color))
                assert not untrue(words, batch.masks[i, k])
            else:
                assert COLORS.index(color) == batch.background_color[i]


def test_every_colour_s_owner_is_the_one_in_the_picture():
    scenes = Scenes("instances", 32, 40)
    batch, (nouns, places) = scenes.render(range(40)), scenes.owners(range(40))
    assert nouns.shape == places.shape == (40, len(COLORS))
    for i in range(40):
        own = {batch.background_color[i].item(): (len(SHAPES), len(PLACES))}
        own |= {
            color: (batch.shapes[i, k].item(), batch.places[i, k].item())
            for k, color in enumerate(batch.colors[i].tolist())
            if batch.shapes[i, k] >= 0
        }
        found = {c: (nouns[i, c].item(), places[i, c].item()) for c in range(len(COLORS)) if nouns[i, c] >= 0}
        assert found == own
