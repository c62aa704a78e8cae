from collections import Counter
from collections.abc import Iterator
from itertools import combinations, permutations

import pytest

from pipeline.synthetic.parsing import AWKWARD, SEGMENTS_OF_TRUNCATED, plan_clips, write_annotations
from pipeline.synthetic.plan import CATEGORIES, NUM_SEGMENTS, SPLITS, ClipPlan, Source

PLANS = plan_clips()
SIZES = {"train": 60, "val": 20, "test": 40}
TAG_FILES = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}


def segments_of(mask: str) -> set[int]:
    return {segment for segment, character in enumerate(mask) if character == "1"}


def relation_of(source: Source) -> str:
    seen, heard = segments_of(source.seen), segments_of(source.heard)
    if not seen:
        return "heard only"
    if not heard:
        return "seen only"
    if seen == heard:
        return "together"
    return "heard longer" if seen < heard else "seen longer" if heard < seen else "each alone at times"


def overlaps_of(plan: ClipPlan) -> Iterator[str]:
    """Yield what two categories of a clip do at once."""
    for one, other in combinations(plan.sources, 2):
        if segments_of(one.heard) & segments_of(other.heard):
            yield "two heard"
        if segments_of(one.seen) & segments_of(other.seen):
            yield "two seen"
    for shown, sounding in permutations(plan.sources, 2):
        silent = segments_of(shown.seen) - segments_of(shown.heard)
        if silent & (segments_of(sounding.heard) - segments_of(sounding.seen)):
            yield "a picture with another's sound"


def test_equal_seeds_give_equal_plans_and_other_seeds_other_plans():
    assert plan_clips(3, 20) == plan_clips(3, 20)
    assert plan_clips(3, 20) != plan_clips(4, 20)


def test_ids_look_like_those_of_youtube_and_are_unique():
    ids = [plan.video_id for plan in PLANS]
    assert {len(video_id) for video_id in ids} == {11}
    assert len(set(ids)) == 120
    assert ids == sorted(ids)


@pytest.mark.parametrize("seed", range(5))
def test_a_clip_has_one_to_three_categories_each_of_them_seen_or_heard(seed):
    plans = plan_clips(seed)
    assert Counter(plan.split for plan in plans) == SIZES
    for plan in plans:
        names = [source.category for source in plan.sources]
        assert len(set(names)) == len(names)
        for source in plan.sources:
            assert len(source.seen) == len(source.heard) == NUM_SEGMENTS
            assert "1" in source.seen + source.heard
    for split, size in SIZES.items():
        counts = Counter(len(plan.sources) for plan in plans if plan.split == split)
        assert set(counts) == {1, 2, 3}
        assert size / 4 < counts[1] < size / 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("split", SPLITS)
def test_every_split_has_every_category_in_both_modalities_every_relation_and_every_overlap(seed, split):
    plans = [plan for plan in plan_clips(seed) if plan.split == split]
    sources = [source for plan in plans for source in plan.sources]
    assert {source.category for source in sources if "1" in source.seen} == set(CATEGORIES)
    assert {source.category for source in sources if "1" in source.heard} == set(CATEGORIES)
    relations = Counter(map(relation_of, sources))
    expected = {"heard only", "seen only", "together", "heard longer", "seen longer", "each alone at times"}
    assert set(relations) == expected
    assert min(relations["heard only"], relations["seen only"]) >= len(sources) // 8
    overlaps = Counter(kind for plan in plans for kind in overlaps_of(plan))
    assert set(overlaps) == {"two heard", "two seen", "a picture with another's sound"}


@pytest.mark.parametrize("seed", range(5))
def test_the_tags_tell_neither_the_modality_nor_the_times(seed):
    """Of the segments of a tagged category, in either modality, between two and four fifths are labelled."""
    sources = [source for plan in plan_clips(seed) for source in plan.sources]
    for modality in ("seen", "heard"):
        masks = "".join(getattr(source, modality) for source in sources)
        assert 0.4 < masks.count("1") / len(masks) < 0.8


def test_some_sources_pause_in_a_modality():
    masks = [mask for plan in PLANS for source in plan.sources for mask in (source.seen, source.heard) if "1" in mask]
    assert 0.03 < sum("0" in mask.strip("0") for mask in masks) / len(masks) < 0.3


@pytest.mark.parametrize("seed", range(5))
def test_each_kind_of_awkward_file_occurs_once_and_its_labels_are_true_of_what_the_file_holds(seed):
    found = {plan.awkward: plan for plan in plan_clips(seed) if plan.awkward}
    assert sorted(found) == sorted(kind.name for kind in AWKWARD)
    for kind in AWKWARD:
        assert found[kind.name].split == kind.split
        assert all(getattr(found[kind.name].media, key) == value for key, value in kind.changes.items())
    assert all(source.seen[9] + source.heard[9] == "00" for source in found["9.2 seconds"].sources)
    assert all(source.heard == "0" * NUM_SEGMENTS for source in found["no audio stream"].sources)
    for source in found["truncated"].sources:
        assert "1" in source.seen[:SEGMENTS_OF_TRUNCATED] + source.heard[:SEGMENTS_OF_TRUNCATED]


@pytest.mark.parametrize("num_clips", [3, 4, 8, 13, 24])
def test_a_small_set_has_legal_splits_and_no_broken_file(num_clips):
    plans = plan_clips(1, num_clips)
    found = {split: {s.category for p in plans if p.split == split for s in p.sources} for split in SPLITS}
    assert len(plans) == num_clips
    assert all(plan.media.has_audio and plan.media.kept_fraction == 1 for plan in plans)
    assert found["val"] <= found["train"] >= found["test"]
    assert found["val"]
    assert found["test"]


def test_too_few_clips_for_three_splits_are_refused():
    with pytest.raises(ValueError, match="num_clips: expected at least 3, found 2"):
        plan_clips(1, 2)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The rows of each file of a data set's annotations, by the file's name."""
    folder = tmp_path_factory.mktemp("annotations")
    write_annotations(folder, PLANS)
    return {
        path.name: [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        for path in folder.iterdir()
    }


def test_annotations_have_the_files_and_the_columns_of_llp(tables):
    names = ["AVVP_dataset_full.csv", "AVVP_eval_audio.csv", "AVVP_eval_visual.csv", *TAG_FILES.values()]
    assert sorted(tables) == sorted(names)
    for name, (header, *rows) in tables.items():
        timed = ["onset", "offset"] if "eval" in name else []
        assert header == ["filename", *timed, "event_labels"]
        assert {len(row) for row in rows} == {len(header)}


def test_every_clip_has_its_tags_in_the_list_of_its_split_and_in_the_full_one(tables):
    expected = {
        split: {
            f"{plan.video_id}_0_10": {source.category.replace(" ", "_") for source in plan.sources}
            for plan in PLANS
            if plan.split == split
        }
        for split in SPLITS
    }
    for split, name in TAG_FILES.items():
        rows = tables[name][1:]
        assert len(rows) == SIZES[split]
        assert {file: set(labels.split(",")) for file, labels in rows} == expected[split]
    assert tables["AVVP_dataset_full.csv"][1:] == [row for name in TAG_FILES.values() for row in tables[name][1:]]


@pytest.mark.parametrize(("name", "modality"), [("AVVP_eval_audio.csv", "heard"), ("AVVP_eval_visual.csv", "seen")])
def test_the_rows_of_a_modality_are_the_times_of_the_clips_of_val_and_test(tables, name, modality):
    found: dict[tuple[str, str], set[int]] = {}
    for file, onset, offset, label in tables[name][1:]:
        assert 0 <= int(onset) < int(offset) <= NUM_SEGMENTS
        segments = set(range(int(onset), int(offset)))
        assert not segments & found.get((file, label), set())
        found.setdefault((file, label), set()).update(segments)
    expected = {
        (f"{plan.video_id}_0_10", source.category.replace(" ", "_")): segments_of(getattr(source, modality))
        for plan in PLANS
        for source in plan.sources
        if plan.split != "train" and "1" in getattr(source, modality)
    }
    assert found == expected


def test_the_silent_file_has_rows_of_pictures_and_none_of_sounds(tables):
    (silent,) = (plan for plan in PLANS if not plan.media.has_audio)
    counts = {
        name: sum(row[0].startswith(silent.video_id) for row in rows) for name, rows in tables.items() if "eval" in name
    }
    assert counts["AVVP_eval_audio.csv"] == 0
    assert counts["AVVP_eval_visual.csv"] >= 1
