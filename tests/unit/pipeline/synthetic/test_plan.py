from collections import Counter

import pytest

from pipeline.synthetic.plan import AWKWARD, CATEGORIES, NUM_SEGMENTS, plan_clips

PLANS = plan_clips()


def test_equal_seeds_give_equal_plans_and_other_seeds_other_plans():
    assert plan_clips(3, 20) == plan_clips(3, 20)
    assert plan_clips(3, 20) != plan_clips(4, 20)


def test_the_event_is_where_the_category_is_both_seen_and_heard(make_plan):
    plan = make_plan()
    assert plan.events == "0011110000"
    assert plan.annotation == "Siren&syn-0000abc&good&2&6"


@pytest.mark.parametrize("seed", range(5))
def test_every_clip_has_one_contiguous_event_of_at_least_two_segments(seed):
    for plan in plan_clips(seed):
        assert len(plan.seen) == len(plan.heard) == NUM_SEGMENTS
        assert "1" * plan.events.count("1") in plan.events
        assert plan.events.count("1") >= 2


def test_ids_look_like_those_of_youtube_and_are_unique():
    ids = [plan.video_id for plan in PLANS]
    assert {len(video_id) for video_id in ids} == {11}
    assert len(set(ids)) == 84


def test_splits_are_stratified():
    assert Counter(plan.split for plan in PLANS) == {"train": 52, "val": 16, "test": 16}
    for split in ("train", "val", "test"):
        counts = Counter(plan.category for plan in PLANS if plan.split == split)
        assert set(counts) == set(CATEGORIES)
        assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_background_is_about_two_fifths_of_every_split(seed):
    plans = plan_clips(seed)
    for split in ("train", "val", "test"):
        events = "".join(plan.events for plan in plans if plan.split == split)
        assert 0.35 <= events.count("0") / len(events) <= 0.45
    assert any(plan.events == "1" * NUM_SEGMENTS for plan in plans)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("modality", ["seen", "heard"])
def test_neither_modality_alone_tells_the_event(seed, modality):
    """Whoever knows only where the category is seen (or heard) gets a sixth of the background wrong, or more."""
    pairs = [pair for plan in plan_clips(seed) for pair in zip(getattr(plan, modality), plan.events, strict=True)]
    background = [known for known, event in pairs if event == "0"]
    assert background.count("1") / len(background) > 1 / 6


def test_distractors_are_of_another_category_and_occur_in_either_modality():
    distractors = [(plan, plan.distractor) for plan in PLANS if plan.distractor is not None]
    assert all(distractor.category != plan.category for plan, distractor in distractors)
    assert {distractor.modality for _, distractor in distractors} == {"seen", "heard"}
    assert 0.3 < len(distractors) / len(PLANS) < 0.7


def test_each_kind_of_awkward_file_occurs_once_in_its_split():
    found = {plan.awkward: plan for plan in PLANS if plan.awkward}
    assert sorted(found) == sorted(name for name, *_ in AWKWARD)
    for name, split, changes, _ in AWKWARD:
        assert found[name].split == split
        assert all(getattr(found[name].media, key) == value for key, value in changes.items())
    assert found["9.2 seconds"].events[-1] == "0"


@pytest.mark.parametrize("num_clips", [3, 4, 8, 13, 24])
def test_a_small_set_has_legal_splits_and_no_broken_file(num_clips):
    plans = plan_clips(1, num_clips)
    categories = {split: {p.category for p in plans if p.split == split} for split in ("train", "val", "test")}
    assert len(plans) == num_clips
    assert categories["val"] <= categories["train"] >= categories["test"]
    assert categories["val"]
    assert categories["test"]
    assert all(plan.media.has_audio and plan.media.kept_fraction == 1 for plan in plans)


def test_too_few_clips_for_three_splits_are_refused():
    with pytest.raises(ValueError, match="num_clips: expected at least 3, found 2"):
        plan_clips(1, 2)
