from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline import synthetic
from pipeline.synthetic import (
    AWKWARD,
    CATEGORIES,
    NUM_SEGMENTS,
    ClipPlan,
    MediaFormat,
    build_scene,
    draw_frame,
    draw_object,
    encode_clip,
    first_frame_of_segment,
    num_frames,
    plan_clips,
    render,
    render_clip,
    segment_of_frame,
    synthesize_sound,
    synthesize_waveform,
)

PLANS = plan_clips()


def make_plan(**changes) -> ClipPlan:
    plan = ClipPlan(
        video_id="syn-0000abc",
        category="Siren",
        split="train",
        seen="1111110000",
        heard="0011110011",
        distractor=None,
        media=MediaFormat(width=64, height=48, sample_rate_hz=16000, num_channels=1),
        awkward="",
        seed=5,
    )
    return replace(plan, **changes)


def decode(path: Path) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Return all frames and the sound (num_channels, num_samples) of a sound file."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return frames, None
        return frames, np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


# plans


def test_equal_seeds_give_equal_plans_and_other_seeds_other_plans():
    assert plan_clips(3, 20) == plan_clips(3, 20)
    assert plan_clips(3, 20) != plan_clips(4, 20)


def test_the_event_is_where_the_category_is_both_seen_and_heard():
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


# pictures


@pytest.mark.parametrize("frame_rate", [Fraction(25), Fraction(24), Fraction(30000, 1001), Fraction(1758, 100)])
def test_a_segment_begins_with_its_first_frame(frame_rate):
    for segment in range(NUM_SEGMENTS):
        first = first_frame_of_segment(segment, frame_rate)
        assert first == int(segment * num_frames(frame_rate) / NUM_SEGMENTS)
        assert segment_of_frame(first, frame_rate) == segment
        assert segment == 0 or segment_of_frame(first - 1, frame_rate) == segment - 1
    assert segment_of_frame(num_frames(frame_rate) - 1, frame_rate) == NUM_SEGMENTS - 1


@pytest.mark.parametrize("category", CATEGORIES)
def test_objects_are_opaque_inside_clear_at_the_edge_and_move(category):
    picture = draw_object(category, 60, 0.1)
    assert picture.shape == (60, 60, 4)
    assert picture.min() >= 0
    assert picture.max() <= 1.001
    assert (picture[..., :3] <= picture[..., 3:] + 1e-6).all()
    assert 0.2 < (picture[..., 3] > 0.99).mean() < 0.9
    assert picture[[0, 0, -1, -1], [0, -1, 0, -1], 3].max() < 0.05
    assert not np.array_equal(picture, draw_object(category, 60, 0.35))


def test_objects_of_different_categories_look_different():
    pictures = [draw_object(category, 40, 0.0) for category in CATEGORIES]
    for index, picture in enumerate(pictures):
        assert all(abs(picture - other).mean() > 0.05 for other in pictures[:index])


def test_the_object_is_on_screen_exactly_in_the_frames_of_the_segments_in_which_it_is_seen():
    plan = make_plan(seen="0011110000")
    scene, empty = build_scene(plan), build_scene(replace(plan, seen="0" * 10))
    shown = [not np.array_equal(draw_frame(scene, i), draw_frame(empty, i)) for i in range(250)]
    assert shown == [50 <= index < 150 for index in range(250)]


def test_a_seen_distractor_is_drawn_and_a_heard_one_is_not():
    silent = make_plan(seen="0" * 10)
    for modality in ("seen", "heard"):
        distractor = synthetic.Distractor("Truck", modality, "1" * 10)
        frame = draw_frame(build_scene(replace(silent, distractor=distractor)), 0)
        assert (abs(frame.astype(int) - draw_frame(build_scene(silent), 0)) > 60).any() == (modality == "seen")


# sound


@pytest.mark.parametrize("category", CATEGORIES)
def test_sounds_have_unit_level_and_are_audible_in_every_second(category):
    sound = synthesize_sound(category, 5 * 16000, 16000, np.random.default_rng(2))
    assert sound.dtype == np.float32
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(1, rel=1e-3)
    assert (np.sqrt(np.mean(sound.reshape(5, -1) ** 2, axis=1)) > 0.4).all()


def test_the_category_sounds_exactly_in_the_segments_in_which_it_is_heard(monkeypatch):
    monkeypatch.setattr(synthetic, "SOUND_TO_NOISE_DB", (40.0, 40.0))
    level = synthesize_waveform(make_plan()).reshape(NUM_SEGMENTS, -1).std(axis=1)
    assert (level > 5 * level.min()).tolist() == [character == "1" for character in "0011110011"]


def test_a_heard_distractor_sounds_and_a_seen_one_does_not(monkeypatch):
    monkeypatch.setattr(synthetic, "SOUND_TO_NOISE_DB", (40.0, 40.0))
    for modality in ("seen", "heard"):
        distractor = synthetic.Distractor("Violin", modality, "1111100000")
        waveform = synthesize_waveform(make_plan(heard="0" * 10, distractor=distractor))
        level = waveform.reshape(2, -1).std(axis=1)
        assert (level[0] > 5 * level[1]) == (modality == "heard")


def test_a_waveform_has_the_channels_and_the_length_of_its_format_and_does_not_clip():
    media = MediaFormat(sample_rate_hz=48000, num_channels=2, duration_seconds=9.2)
    waveform = synthesize_waveform(make_plan(media=media))
    assert waveform.shape == (2, 441600)
    assert abs(waveform).max() < 1


# files


def test_a_written_clip_decodes_to_what_was_given(tmp_path):
    frames = [np.full((48, 64, 3), 20 * index, np.uint8) for index in range(12)]
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    encode_clip(tmp_path / "a.mp4", frames, tone[None], frame_rate=Fraction(12), sample_rate_hz=16000)
    decoded, sound = decode(tmp_path / "a.mp4")
    assert [round(frame.mean() / 20) for frame in decoded] == list(range(12))
    assert sound.shape[0] == 1
    assert sound.shape[1] == pytest.approx(16000, abs=1024)
    assert abs(sound).max() == pytest.approx(0.5, abs=0.05)


def test_either_stream_may_be_left_out_and_either_may_start_late(tmp_path):
    frames = [np.zeros((48, 64, 3), np.uint8)] * 10
    encode_clip(tmp_path / "silent.mp4", frames, None, frame_rate=Fraction(10), video_delay_seconds=0.5)
    encode_clip(tmp_path / "blind.mp4", None, np.zeros((2, 44100)))
    encode_clip(tmp_path / "late.mp4", frames, np.zeros((2, 44100)), frame_rate=Fraction(10), audio_delay_seconds=0.5)
    with av.open(str(tmp_path / "silent.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert next(container.decode(video=0)).time == 0.5
    with av.open(str(tmp_path / "blind.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["audio"]
    with av.open(str(tmp_path / "late.mp4")) as container:
        assert next(container.decode(audio=0)).time == pytest.approx(0.5, abs=0.03)


def test_a_clip_that_cannot_be_written_leaves_no_file(tmp_path):
    def frames():
        yield np.zeros((48, 64, 3), np.uint8)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        encode_clip(tmp_path / "a.mp4", frames(), None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "shape", "count"),
    [
        ({}, (48, 64, 3), 250),
        ({"frame_rate": Fraction(1758, 100)}, (48, 64, 3), 176),
        ({"width": 65, "height": 49, "pixel_format": "yuv444p"}, (49, 65, 3), 250),
        ({"duration_seconds": 9.2}, (48, 64, 3), 230),
    ],
)
def test_a_rendered_clip_has_the_format_of_its_plan(tmp_path, changes, shape, count):
    plan = make_plan(media=replace(make_plan().media, **changes))
    render_clip(tmp_path, plan)
    frames, sound = decode(tmp_path / "videos" / "syn-0000abc.mp4")
    assert len(frames) == count
    assert frames[0].shape == shape
    assert sound.shape[1] / 16000 == pytest.approx(plan.media.duration_seconds, abs=0.07)


def test_a_clip_without_audio_has_no_audio_stream(tmp_path):
    render_clip(tmp_path, make_plan(media=replace(make_plan().media, has_audio=False)))
    assert decode(tmp_path / "videos" / "syn-0000abc.mp4")[1] is None


def test_a_truncated_clip_opens_and_decodes_in_part(tmp_path):
    render_clip(tmp_path, make_plan(media=replace(make_plan().media, kept_fraction=0.55)))
    count = 0
    with av.open(str(tmp_path / "videos" / "syn-0000abc.mp4")) as container:
        try:
            for _ in container.decode(video=0):
                count += 1
        except av.FFmpegError:
            pass
    assert 50 < count < 200


def test_a_set_has_the_same_bytes_whatever_the_number_of_workers(tmp_path):
    render(tmp_path / "one", num_clips=4, num_workers=1)
    render(tmp_path / "two", num_clips=4, num_workers=2)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 4 + 4
    assert files == sorted(path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*.*"))
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_annotations_name_every_clip_once_and_agree_with_the_splits(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "render_clip", lambda folder, plan: None)
    render(tmp_path, num_workers=1)
    header, *rows = (tmp_path / "Annotations.txt").read_text().splitlines()
    assert header == "Category&VideoID&Quality&StartTime&EndTime"
    assert sorted(rows) == sorted(plan.annotation for plan in PLANS)
    splits = [(tmp_path / f"{split}Set.txt").read_text().splitlines() for split in ("train", "val", "test")]
    assert [len(split) for split in splits] == [52, 16, 16]
    assert sorted(row for split in splits for row in split) == sorted(rows)
