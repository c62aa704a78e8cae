from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.synthetic.parsing import SEGMENTS_OF_TRUNCATED, plan_clips
from pipeline.synthetic.plan import Source
from pipeline.synthetic.rendering import render, render_clip
from pipeline.synthetic.scene import build_scene, draw_frame


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


def test_the_truncated_file_still_holds_the_segments_that_make_its_tags_true(tmp_path):
    (plan,) = (plan for plan in plan_clips() if plan.awkward == "truncated")
    render_clip(tmp_path, plan)
    for stream in ("video", "audio"):
        with av.open(str(tmp_path / "videos" / f"{plan.video_id}.mp4")) as container:
            times = []
            try:
                for frame in container.decode(**{stream: 0}):
                    times.append(frame.time)
            except av.FFmpegError:
                pass
        assert SEGMENTS_OF_TRUNCATED <= max(times) < 9


def test_in_a_rendered_file_each_category_is_seen_and_heard_where_its_plan_says(tmp_path, make_plan, decode):
    quiet = replace(make_plan().difficulty, sound_to_noise_db=(40.0, 40.0))
    sources = (Source("Siren", "0000011100", "0011000000"), Source("Truck", "1110000000", "0000000110"))
    plan = make_plan(sources=sources, difficulty=quiet)
    render_clip(tmp_path, plan)
    frames, sound = decode(tmp_path / "videos" / "syn-0000abc.mp4")
    level = sound[0, : 10 * 16000].reshape(10, -1)[:, 1600:-1600].std(axis=1)  # AAC smears a little over the edges
    assert (level > 5 * level.min()).tolist() == [character == "1" for character in "0011000110"]
    scene = build_scene(replace(plan, sources=()))
    covered = [abs(frames[i].astype(int) - draw_frame(scene, i)).max(axis=2) > 60 for i in range(12, 250, 25)]
    left, right = ([bool(part.mean() > 0.02) for part in halves] for halves in zip(*map(_halves, covered), strict=True))
    assert sorted([left, right]) == sorted([[c == "1" for c in source.seen] for source in sources])


def _halves(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two objects stand side by side."""
    middle = picture.shape[1] // 2
    return picture[:, :middle], picture[:, middle:]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "num_tables"), [("localization", 4), ("parsing", 6)])
def test_a_set_has_the_same_bytes_whatever_the_number_of_workers(tmp_path, task, num_tables):
    render(tmp_path / "one", task, num_clips=4, num_workers=1)
    render(tmp_path / "two", task, num_clips=4, num_workers=2)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 4 + num_tables
    assert files == sorted(path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*.*"))
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
