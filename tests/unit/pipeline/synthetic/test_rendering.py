from dataclasses import replace
from fractions import Fraction

import av
import pytest

from pipeline.synthetic import rendering
from pipeline.synthetic.plan import plan_clips
from pipeline.synthetic.rendering import render, render_clip

PLANS = plan_clips()


@pytest.mark.parametrize(
    ("changes", "shape", "count"),
    [
        ({}, (48, 64, 3), 250),
        ({"frame_rate": Fraction(1758, 100)}, (48, 64, 3), 176),
        ({"width": 65, "height": 49, "pixel_format": "yuv444p"}, (49, 65, 3), 250),
        ({"duration_seconds": 9.2}, (48, 64, 3), 230),
    ],
)
def test_a_rendered_clip_has_the_format_of_its_plan(tmp_path, changes, shape, count, make_plan, decode):
    plan = make_plan(media=replace(make_plan().media, **changes))
    render_clip(tmp_path, plan)
    frames, sound = decode(tmp_path / "videos" / "syn-0000abc.mp4")
    assert len(frames) == count
    assert frames[0].shape == shape
    assert sound.shape[1] / 16000 == pytest.approx(plan.media.duration_seconds, abs=0.07)


def test_a_clip_without_audio_has_no_audio_stream(tmp_path, make_plan, decode):
    render_clip(tmp_path, make_plan(media=replace(make_plan().media, has_audio=False)))
    assert decode(tmp_path / "videos" / "syn-0000abc.mp4")[1] is None


def test_a_truncated_clip_opens_and_decodes_in_part(tmp_path, make_plan, decode):
    render_clip(tmp_path, make_plan(media=replace(make_plan().media, kept_fraction=0.55)))
    count = 0
    with av.open(str(tmp_path / "videos" / "syn-0000abc.mp4")) as container:
        try:
            for _ in container.decode(video=0):
                count += 1
        except av.FFmpegError:
            pass
    assert 50 < count < 200


@pytest.mark.slow
def test_a_set_has_the_same_bytes_whatever_the_number_of_workers(tmp_path):
    render(tmp_path / "one", num_clips=4, num_workers=1)
    render(tmp_path / "two", num_clips=4, num_workers=2)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 4 + 4
    assert files == sorted(path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*.*"))
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_annotations_name_every_clip_once_and_agree_with_the_splits(tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "render_clip", lambda folder, plan: None)
    render(tmp_path, num_workers=1)
    header, *rows = (tmp_path / "Annotations.txt").read_text().splitlines()
    assert header == "Category&VideoID&Quality&StartTime&EndTime"
    assert sorted(rows) == sorted(plan.annotation for plan in PLANS)
    splits = [(tmp_path / f"{split}Set.txt").read_text().splitlines() for split in ("train", "val", "test")]
    assert [len(split) for split in splits] == [52, 16, 16]
    assert sorted(row for split in splits for row in split) == sorted(rows)
