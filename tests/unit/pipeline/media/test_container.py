"""Decoding by number and by time: what the corpus (``test_corpus.py``) does not ask of its files."""

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import MediaError
from pipeline.media.container import REASONS, read_frames, read_timeline
from pipeline.media.waveform import read_waveform

B_FRAMES = {"bf": "3", "preset": "fast", "g": "25"}
OPUS = {"audio_codec": "libopus", "audio_rate": 48000}


@pytest.mark.parametrize("share", np.linspace(0.1, 0.999, 15).round(3))
def test_frames_of_a_file_truncated_anywhere_are_those_their_number_says(share, tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", num_frames=100, video_options=B_FRAMES)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    try:
        timeline = read_timeline(path)
    except MediaError as error:
        assert error.reason in ("not_media", "undecodable")  # noqa: PT017
        assert share < 0.2
        return
    assert timeline.num_declared == 100
    numbers = range(len(timeline.timestamps_seconds))
    frames = read_frames(path, timeline, numbers)
    assert len(frames) >= len(numbers) - 1
    assert {number: media.number_in(frame) for number, frame in frames.items()} == {n: n for n in frames}


def test_pictures_that_build_on_a_damaged_one_are_dropped_although_the_decoder_shows_them(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", num_frames=75, audio_seconds=None, size=(320, 128))
    whole = read_frames(path, read_timeline(path), range(75))
    content = bytearray(path.read_bytes())
    _, key_frame, size = media.packets(path)[25]
    content[key_frame + size // 2 : key_frame + size // 2 + 6] = b"\x5a" * 6
    path.write_bytes(content)
    frames = read_frames(path, read_timeline(path), range(75))
    assert sorted(frames) == [*range(25), *range(50, 75)]
    for number, frame in frames.items():
        np.testing.assert_array_equal(frame, whole[number])


def test_a_damaged_timestamp_does_not_make_frames_of_the_years_before_it(tmp_path, media):
    times = [*(n / 25 for n in range(50)), *(86400 + n / 25 for n in range(50))]
    path = media.write(tmp_path / "clip.mkv", num_frames=100, timestamps=times, audio_seconds=None)
    content = bytearray(path.read_bytes())
    (_, start, _), (_, stop, _) = (media.packets(path)[number] for number in (25, 45))
    content[start:stop] = bytes(stop - start)
    path.write_bytes(content)
    assert len(read_timeline(path).timestamps_seconds) <= 100


def test_a_frame_of_no_bytes_repeats_the_one_before_and_is_not_missed(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", num_frames=50, audio_seconds=None)
    _, start, size = media.packets(path)[24]
    content = bytearray(path.read_bytes())
    del content[start : start + size]
    sizes = content.index(b"stsz") + 16
    content[sizes + 24 * 4 : sizes + 25 * 4] = bytes(4)
    path.write_bytes(content)
    timeline = read_timeline(path)
    assert (len(timeline.timestamps_seconds), timeline.num_declared) == (49, 49)
    assert [media.number_in(frame) for frame in read_frames(path, timeline, range(49)).values()] == [
        number for number in range(50) if number != 24
    ]


def test_a_stream_that_appears_in_the_middle_is_ignored(tmp_path, media):
    path = media.write(tmp_path / "clip.flv", num_frames=50, audio_seconds=2.0)
    fields = (b"onTextData", b"\x08", struct.pack(">I", 1), b"\0\4text", b"\2\0\5hello", b"\0\0\x09")
    body = b"\2" + struct.pack(">H", len(fields[0])) + b"".join(fields)
    tag = b"\x12" + struct.pack(">I", len(body))[1:] + bytes(7) + body
    path.write_bytes(path.read_bytes() + tag + struct.pack(">I", len(tag)))
    timeline = read_timeline(path)
    assert len(timeline.timestamps_seconds) == 50
    assert len(read_frames(path, timeline, range(50))) == 50
    assert read_waveform(path, num_seconds=2).present.all()


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("clip.mp4", {"video_options": B_FRAMES}),
        ("clip.mkv", {}),
        ("clip.ts", {"video_options": B_FRAMES}),
        ("clip.flv", {}),
        ("clip.avi", {"video_codec": "mpeg4", "audio_codec": "mp2"}),
    ],
)
@pytest.mark.slow
def test_whatever_happens_to_the_bytes_of_a_file_nothing_but_a_media_error_comes_of_it(file, settings, tmp_path, media):
    whole = media.write(tmp_path / file, num_frames=40, audio_seconds=1.6, **settings).read_bytes()
    chance = random.Random(file)
    outcomes = set()
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 3, 10))):
            start, length = chance.randrange(len(whole)), chance.choice((1, 20, 600))
            if chance.random() < 0.5:
                content[start : start + length] = chance.randbytes(length)
            else:
                del content[start : start + length]
        (tmp_path / file).write_bytes(content)
        try:
            timeline = read_timeline(tmp_path / file)
            frames = read_frames(tmp_path / file, timeline, range(0, 40, 5))
            outcomes.add(f"{len(frames)} frames")
            read_waveform(tmp_path / file, num_seconds=1.6)
        except MediaError as error:
            outcomes.add(error.reason)
    assert len(outcomes) > 3


@pytest.mark.parametrize("suffix", ["mp4", "txt", "m3u8"])
def test_what_is_no_media_is_refused_whatever_it_is_called_and_the_message_holds_no_folder(
    suffix, tmp_path, media, corpus
):
    media.write(tmp_path / "clip.ts", num_frames=25, audio_seconds=1.0)  # for the lists, which name it
    entries = [entry for entry in corpus.values() if entry.visual.reason in ("not_media", "empty_file")]
    assert len(entries) > 5
    contents = [entry.write(tmp_path / entry.file_name).read_bytes() for entry in entries]
    path = tmp_path / f"file.{suffix}"
    for content in contents:
        path.write_bytes(content)
        for read in (read_timeline, lambda path: read_waveform(path, num_seconds=10)):
            with pytest.raises(MediaError, match=rf"^file\.{suffix}: [^/]*$") as caught:
                read(path)
            assert caught.value.reason == ("not_media" if content else "empty_file")


def test_a_missing_file_and_one_the_system_refuses_are_told_apart(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    for name, reason in (("none.mp4", "missing"), ("folder.mp4", "unreadable"), ("x" * 300, "unreadable")):
        with pytest.raises(MediaError) as caught:
            read_timeline(tmp_path / name)
        assert caught.value.reason == reason


@pytest.mark.parametrize("name", ["12:30.mp4", "http:clip.mp4", "50%d.mp4", "a b?c#d.mp4", "ö ‮.mp4"])
def test_a_file_may_have_any_name(name, tmp_path, media, monkeypatch):
    path = media.write(tmp_path / "clip.mp4", num_frames=10, audio_seconds=None).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for same in (path, Path(name)):
        assert len(read_timeline(same).timestamps_seconds) == 10


def test_wanted_frames_are_converted_one_by_one_and_others_never(tmp_path, media):
    path = media.write(tmp_path / "clip.mp4", num_frames=50, audio_seconds=None)
    converted = []
    frames = read_frames(path, read_timeline(path), [3, 3, 40], lambda frame: converted.append(frame.shape) or "made")
    assert frames == {3: "made", 40: "made"}
    assert converted == [(32, 80, 3)] * 2


def test_every_reason_in_the_table_is_given_somewhere_and_none_is_missing():
    modules = (Path(__file__).parents[4] / "pipeline").rglob("*.py")
    source = "".join(module.read_text("utf-8") for module in modules)
    table = source[source.index("REASONS = {") : source.index("}", source.index("REASONS = {"))]
    assert {reason for reason in REASONS if f'"{reason}"' in source.replace(table, "")} == set(REASONS)
