import hashlib
from collections import Counter

import pytest

from pipeline.synthetic.localization import AWKWARD, annotation_of, plan_clips, write_annotations
from pipeline.synthetic.plan import CATEGORIES, NUM_SEGMENTS, ClipPlan

PLANS = plan_clips()


def events_of(plan: ClipPlan) -> str:
    return plan.sources[0].events


def test_equal_seeds_give_equal_plans_and_other_seeds_other_plans():
    assert plan_clips(3, 20) == plan_clips(3, 20)
    assert plan_clips(3, 20) != plan_clips(4, 20)


def test_the_event_is_where_the_category_is_both_seen_and_heard(make_plan):
    plan = make_plan()
    assert events_of(plan) == "0011110000"
    assert annotation_of(plan) == "Siren&syn-0000abc&good&2&6"


@pytest.mark.parametrize("seed", range(5))
def test_every_clip_has_one_contiguous_event_of_at_least_two_segments(seed):
    for plan in plan_clips(seed):
        events = events_of(plan)
        assert len(plan.sources[0].seen) == len(plan.sources[0].heard) == len(events) == NUM_SEGMENTS
        assert "1" * events.count("1") in events
        assert events.count("1") >= 2


def test_ids_look_like_those_of_youtube_and_are_unique():
    ids = [plan.video_id for plan in PLANS]
    assert {len(video_id) for video_id in ids} == {11}
    assert len(set(ids)) == 84


def test_splits_are_stratified():
    assert Counter(plan.split for plan in PLANS) == {"train": 52, "val": 16, "test": 16}
    for split in ("train", "val", "test"):
        counts = Counter(plan.sources[0].category for plan in PLANS if plan.split == split)
        assert set(counts) == set(CATEGORIES)
        assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_background_is_about_two_fifths_of_every_split(seed):
    plans = plan_clips(seed)
    for split in ("train", "val", "test"):
        events = "".join(events_of(plan) for plan in plans if plan.split == split)
        assert 0.35 <= events.count("0") / len(events) <= 0.45
    assert any(events_of(plan) == "1" * NUM_SEGMENTS for plan in plans)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("modality", ["seen", "heard"])
def test_neither_modality_alone_tells_the_event(seed, modality):
    """Whoever knows only where the category is seen (or heard) gets a sixth of the background wrong, or more."""
    sources = [plan.sources[0] for plan in plan_clips(seed)]
    pairs = [pair for source in sources for pair in zip(getattr(source, modality), source.events, strict=True)]
    background = [known for known, event in pairs if event == "0"]
    assert background.count("1") / len(background) > 1 / 6


def test_distractors_are_of_another_category_and_occur_in_either_modality():
    distractors = [(plan.sources[0], distractor) for plan in PLANS for distractor in plan.sources[1:]]
    assert all(distractor.category != source.category for source, distractor in distractors)
    assert {("1" in distractor.seen, "1" in distractor.heard) for _, distractor in distractors} == {
        (True, False),
        (False, True),
    }
    assert 0.3 < len(distractors) / len(PLANS) < 0.7


def test_each_kind_of_awkward_file_occurs_once_in_its_split():
    found = {plan.awkward: plan for plan in PLANS if plan.awkward}
    assert sorted(found) == sorted(kind.name for kind in AWKWARD)
    for kind in AWKWARD:
        assert found[kind.name].split == kind.split
        assert all(getattr(found[kind.name].media, key) == value for key, value in kind.changes.items())
    assert events_of(found["9.2 seconds"])[-1] == "0"


@pytest.mark.parametrize("num_clips", [3, 4, 8, 13, 24])
def test_a_small_set_has_legal_splits_and_no_broken_file(num_clips):
    plans = plan_clips(1, num_clips)
    categories = {
        split: {p.sources[0].category for p in plans if p.split == split} for split in ("train", "val", "test")
    }
    assert len(plans) == num_clips
    assert categories["val"] <= categories["train"] >= categories["test"]
    assert categories["val"]
    assert categories["test"]
    assert all(plan.media.has_audio and plan.media.kept_fraction == 1 for plan in plans)


def test_too_few_clips_for_three_splits_are_refused():
    with pytest.raises(ValueError, match="num_clips: expected at least 3, found 2"):
        plan_clips(1, 2)


def test_annotations_name_every_clip_once_and_agree_with_the_splits(tmp_path):
    write_annotations(tmp_path, PLANS)
    header, *rows = (tmp_path / "Annotations.txt").read_text().splitlines()
    assert header == "Category&VideoID&Quality&StartTime&EndTime"
    assert sorted(rows) == sorted(annotation_of(plan) for plan in PLANS)
    splits = [(tmp_path / f"{split}Set.txt").read_text().splitlines() for split in ("train", "val", "test")]
    assert [len(split) for split in splits] == [52, 16, 16]
    assert sorted(row for split in splits for row in split) == sorted(rows)


DIGEST = "34862cce5ecfea64a0e03712c5ee73c15af39efa2da339a306f3c9f8b1a83769"


def test_the_clips_are_what_they_always_were():
    """Whose plan changes here is rendered to other bytes, and the scores in `results/` are of another data set."""
    lines = [
        f"{plan.video_id} {plan.split} {plan.seed} {plan.awkward} {plan.media.frame_rate} {plan.media.sample_rate_hz} "
        + " ".join(f"{source.category} {source.seen} {source.heard}" for source in plan.sources)
        for plan in PLANS
    ]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == DIGEST
