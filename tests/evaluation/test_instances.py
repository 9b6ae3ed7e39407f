"""Does the evaluation on Scenes see who obeys the caption and who does not?"""

import re
from collections import Counter

import pytest
import torch
from torch import nn

from datasets.scenes import BACKGROUNDS, COLORS, PALETTE, SHAPES, Scenes
from evaluation import scene_report
from evaluation.instance_metrics import paint, patch_labels
from evaluation.instance_summary import summarize_instances
from evaluation.instances import evaluate_instances, recolor
from models import Coloring
from utils.color import AB_SCALE
from utils.errors import DivergedError

CPU, SIDE, GRID = torch.device("cpu"), 48, 8
NOUNS = tuple(SHAPES)
CENTERS = torch.tensor([PALETTE[name] for name in COLORS])


def told(caption):
    """noun -> colour, as the sentence has it."""
    parts = re.split(r", | and |(?<=\w) there is ", caption)
    return {
        noun: color for part in parts for noun in (*NOUNS, *BACKGROUNDS) for color in COLORS if both(part, noun, color)
    }


def both(part, *words):
    return set(words) <= set(part.split())


class Painter(nn.Module):
    """Paints each noun as the sentence says, with masks and nouns of its own knowledge: right for a good data set."""

    def __init__(self, scenes, hears=lambda caption, own: caption, groups=GRID * GRID):
        super().__init__()
        self.truth = Scenes(scenes.split, scenes.size, len(scenes), scenes.seed).render(range(len(scenes)))
        texts = (self.truth.captions, self.truth.counter_captions)
        self.place = {caption: i for captions in texts for i, caption in enumerate(captions)}
        self.hears, self.groups = hears, groups
        self.tokenizer, self.inputs = None, frozenset()

    def colorize(self, batch):
        captions = batch.captions
        rows = [self.place[caption] for caption in captions]
        masks, shapes = self.truth.masks[rows], self.truth.shapes[rows]
        colors = torch.zeros(shapes.shape, dtype=torch.int64)
        for i, caption in enumerate(captions):
            says = told(self.hears(caption, self.truth.captions[rows[i]]))
            for k in range(5):
                if shapes[i, k] >= 0 and NOUNS[shapes[i, k]] in says:
                    colors[i, k] = COLORS.index(says[NOUNS[shapes[i, k]]])
        ab = paint(masks, CENTERS[colors]) / AB_SCALE
        labels = patch_labels(masks, GRID)
        assignment = nn.functional.one_hot(labels, 6).transpose(1, 2).float()[:, : self.groups]
        return Coloring(ab, regions=assignment)


@pytest.fixture
def scenes():
    return Scenes("clear", SIDE, 24, seed=5)


def rows_of(network, scenes, **options):
    return evaluate_instances(network, scenes, CPU, "none", batch_size=7, **options)


def summary_of(network, scenes):
    return summarize_instances(rows_of(network, scenes))


def test_who_obeys_scores_everything(scenes):
    summary = summary_of(Painter(scenes), scenes)
    for name in ("accuracy", "counter_accuracy", "ari", "foreground_ari"):
        assert summary[name] == {"mean": 1.0, "low": 1.0, "high": 1.0}, name
    assert summary["counter_drop"]["mean"] == 0
    assert summary["error"]["mean"] < 1e-3 and summary["counter_error"]["mean"] < 1e-3 < summary["gray_error"]["mean"]


def test_who_ignores_the_counter_caption_is_seen(scenes):
    summary = summary_of(Painter(scenes, hears=lambda caption, own: own), scenes)
    assert summary["accuracy"]["mean"] == 1.0
    assert summary["counter_accuracy"]["mean"] == 0.0
    assert summary["counter_drop"]["mean"] == 1.0
    assert summary["counter_error"]["mean"] > 10


@pytest.mark.parametrize("what", ["masks", "captions"])
def test_two_exchanged_instances_are_seen(scenes, what, monkeypatch):
    """The data set hands out scenes in which two instances, or the words for them, have changed places."""
    painter, render = Painter(scenes), Scenes.render

    def exchanged(self, indices):
        batch = render(self, indices)
        if what == "masks":
            batch.masks[:, [0, 1]] = batch.masks[:, [1, 0]].clone()
        else:
            for i, caption in enumerate(batch.captions):
                first, second = (COLORS[color] for color in batch.colors[i, :2])
                other = {first: second, second: first}
                batch.captions[i] = re.sub("|".join(COLORS), lambda m, other=other: other.get(m[0], m[0]), caption)
                painter.place[batch.captions[i]] = indices[i]
        return batch

    monkeypatch.setattr(Scenes, "render", exchanged)
    wrong = [i for row in rows_of(painter, scenes) for i in row["instances"] if not i["correct"]]
    right = [i for row in rows_of(painter, scenes) for i in row["instances"] if i["correct"]]
    assert len(wrong) >= len(scenes) and right  # two of each scene, where both are named; the others stay


def test_who_paints_nothing_scores_as_gray_and_who_groups_nothing_has_no_ari(scenes):
    class Gray(Painter):
        def colorize(self, batch):
            return super().colorize(batch)._replace(ab=torch.zeros(len(batch.captions), 2, SIDE, SIDE))

    summary = summary_of(Gray(scenes, groups=0), scenes)
    assert summary["accuracy"]["mean"] == summary["references"]["gray"] < 0.5
    assert summary["error"] == summary["gray_error"]
    assert summary["ari"] is None and summary["foreground_ari"] is None


@pytest.mark.parametrize("hears", [True, False])
def test_who_gives_the_ground_its_colour_is_seen(scenes, hears):
    class Grounded(Painter):
        def colorize(self, batch):
            rows, coloring = [self.place[caption] for caption in batch.captions], super().colorize(batch)
            truth = self.truth
            for i, row in enumerate(rows):
                wanted = truth.background_color[row] if hears or row % 3 else (truth.background_color[row] + 1) % 10
                coloring.ab[i, :, truth.background_mask[row]] = CENTERS[wanted][:, None] / AB_SCALE
            return coloring

    painter = Grounded(scenes)
    named = [row for row in range(len(scenes)) if painter.truth.background_named[row]]
    assert 0 < len(named) < len(scenes)
    right = sum(1 for row in named if hears or row % 3) / len(named)
    rows = rows_of(painter, scenes)
    assert [row["index"] for row in rows if row["ground_correct"] is not None] == named
    summary = summarize_instances(rows)
    assert summary["ground_accuracy"]["mean"] == pytest.approx(right) and (right < 1) == (not hears)
    assert summary["accuracy"]["mean"] == 1.0


def test_a_ground_without_a_described_colour_is_not_judged():
    scenes = Scenes("clear", SIDE, 6, level="scarce")
    gray = Coloring(torch.zeros(6, 2, SIDE, SIDE))
    silent = nn.Module()
    silent.tokenizer, silent.inputs, silent.colorize = None, frozenset(), lambda batch: gray
    summary = summarize_instances(evaluate_instances(silent, scenes, CPU, "none", batch_size=6))
    assert summary["ground_accuracy"] is None and summary["scenes"] == 6


def test_references_count_the_ground_s_colour_among_the_caption_s(scenes):
    rows = rows_of(Painter(scenes), scenes)
    guess = sum(len(row["instances"]) / len(row["caption_colors"]) for row in rows)
    guess /= sum(len(row["instances"]) for row in rows)
    references = summarize_instances(rows)["references"]
    assert references["guess"] == pytest.approx(guess) and references["chance"] == pytest.approx(0.1)
    assert any(len(row["caption_colors"]) > len(row["instances"]) for row in rows)


def test_references_count_a_word_s_instances():
    scenes = Scenes("instances", SIDE, 24)
    rows = rows_of(Painter(scenes), scenes)
    nouns = [Counter(instance["noun"] for instance in row["instances"]) for row in rows]
    expected = sum(len(counts) for counts in nouns) / sum(counts.total() for counts in nouns)
    references = summarize_instances(rows)["references"]
    assert references["word_guess"] == pytest.approx(expected) and expected < 0.7
    assert references["mixture"] < references["word_mixture"] < references["word_guess"]


def test_who_gives_a_word_one_colour_is_right_once_among_those_that_share_it():
    scenes = Scenes("instances", SIDE, 24)
    summary = summary_of(Painter(scenes), scenes)  # paints all of a noun in the last of its colours
    shares = {int(n): own["mean"] for n, own in summary["accuracy_by_sharing"].items()}
    assert len(shares) > 1 and shares == {n: pytest.approx(1 / n) for n in shares}
    shown = {"clear": summary_of(Painter(Scenes("clear", SIDE, 4)), Scenes("clear", SIDE, 4)), "instances": summary}
    head, row = scene_report.sharing_rows(shown)  # on `clear` every word names one
    assert head[1] == ["1 instance", *(f"{n} instances" for n in sorted(shares) if n > 1)]
    assert [row[0], row[1][0].split()[0]] == ["instances", "100.0"]
    assert "2 instances" in scene_report.table(shown) and "2 instances" in scene_report._tables(shown)
    assert scene_report.sharing_rows({"clear": shown["clear"]}) == []


def test_rows_do_not_depend_on_the_batch(scenes):
    first = rows_of(Painter(scenes), scenes)
    assert [row["index"] for row in first] == list(range(24))
    assert evaluate_instances(Painter(scenes), scenes, CPU, "none", batch_size=24) == first


def test_what_is_not_finite_is_an_error(scenes):
    class Broken(Painter):
        def colorize(self, batch):
            output = super().colorize(batch)
            output.ab[[self.place[caption] == 9 for caption in batch.captions], 0, 0, 0] = torch.nan
            return output

    with pytest.raises(DivergedError, match=r"clear_000009\.png: the network's ab is not finite"):
        rows_of(Broken(scenes), scenes)
    with pytest.raises(DivergedError, match=r"clear_000009\.png: the network's ab is not finite"):
        recolor(Broken(scenes), scenes, 9, 1, CPU, "none")


def test_one_scene_under_four_captions(scenes):
    class Reader(Painter):
        def colorize(self, batch):
            self.place |= dict.fromkeys(batch.captions, 3)
            return super().colorize(batch)

    shown = recolor(Reader(scenes), scenes, 3, 4, CPU, "none")
    captions = [coloring.caption for coloring in shown.colorings]
    assert captions[0] == scenes.render([3]).captions[0] and len(set(captions)) == 4
    for coloring in shown.colorings:
        says = told(coloring.caption)
        assert [(noun, says[noun], says[noun]) for noun, _, _ in coloring.answers] == coloring.answers
        assert coloring.picture.shape == coloring.groups.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("groups", [GRID * GRID, 0])
def test_the_page_shows_groups_where_the_system_has_some(scenes, groups, tmp_path):
    (tmp_path / scene_report.STRIPS).mkdir()
    shown = recolor(Painter(scenes, groups=groups), scenes, 3, 1, CPU, "none")
    assert (shown.colorings[0].groups is None) == (groups == 0)
    page = scene_report._scene(tmp_path, shown)
    files = {path.name for path in (tmp_path / scene_report.STRIPS).iterdir()}
    assert page.count("<img") == len(files) == (3 if groups else 2)
    assert any("groups" in name for name in files) == (groups > 0)


@pytest.mark.parametrize(("inputs", "count"), [({"seed"}, 4), ((), 1)])
def test_a_caption_without_colours_is_shown_under_seeds(inputs, count):
    scenes, given = Scenes("clear", SIDE, 24, level="scarce"), []

    class Drawing(nn.Module):
        seed, tokenizer = 7, None

        def colorize(self, batch):
            given.append(batch.seed)
            return Coloring(torch.full((len(batch.captions), 2, SIDE, SIDE), 0.1 * len(given)))

    system = Drawing()
    system.inputs = frozenset(inputs)
    shown = recolor(system, scenes, 3, 4, CPU, "none").colorings
    caption = scenes.render([3]).captions[0]
    seeds = [7, 8, 9, 10][:count] if inputs else [None]
    assert given == seeds
    assert [own.caption for own in shown] == [caption if seed is None else f"{caption} (seed {seed})" for seed in seeds]
    assert len({own.picture.tobytes() for own in shown}) == count


def test_captions_of_one_scene_give_every_instance_another_colour(scenes):
    for index in range(len(scenes)):
        batch, turned = scenes.render([index]), scenes.recolored(index, 4)
        assert turned[0] == (batch.captions[0], batch.colors[0].tolist())
        ground, named = batch.background_color[0].item(), batch.named[0].tolist()
        for _, colors in turned:
            there = [color for color in colors if color >= 0]
            assert len(set(there)) == len(there) and ground not in there
        for k in range(5):
            assert len({colors[k] for _, colors in turned}) == (4 if named[k] else 1)
