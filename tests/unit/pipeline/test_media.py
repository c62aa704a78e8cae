"""Files as they are found: which frame and which second each segment gets, which are masked, and why."""

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import av
import numpy as np
import pytest
import torch

from pipeline.audio import AudioExtractor
from pipeline.errors import MediaError
from pipeline.features import Prepared
from pipeline.media import REASONS, read_frames, read_timeline, read_waveform
from pipeline.params import load_params
from pipeline.segments import NO_FRAME, segment_valid
from pipeline.visual import VisualExtractor

PARAMS = load_params(Path(__file__).resolve().parents[3] / "data" / "synthetic" / "preset.yaml")
SAMPLES = 2
B_FRAMES = {"bf": "3", "preset": "fast", "g": "25"}
VP9 = {"video_codec": "libvpx-vp9", "video_options": {"deadline": "realtime", "cpu-used": "8"}}
OPUS = {"audio_codec": "libopus", "audio_rate": 48000}
CENC = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "00112233445566778899aabbccddeeff",
    "encryption_kid": "112233445566778899aabbccddeeff00",
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute on one thread: for such small pictures the second one costs more than it saves."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def visual() -> Iterator[Callable[..., Prepared]]:
    """Return what the visual recipe makes of a file, two samples a segment; its network does not take part."""
    with patch("pipeline.visual.VGG19"):
        extractors = {
            sampling: VisualExtractor(
                PARAMS.visual.model_copy(update={"sampling": sampling, "frames_per_segment": SAMPLES}),
                PARAMS.dataset,
                torch.device("cpu"),
            )
            for sampling in ("time", "frames")
        }
        yield lambda path, sampling="time": extractors[sampling].prepare(path)


@pytest.fixture(scope="module")
def audio() -> Iterator[Callable[..., Prepared]]:
    """Return what the audio recipe makes of a file; its network does not take part."""
    with patch("pipeline.audio.VGGish"):
        yield AudioExtractor(PARAMS.audio, PARAMS.dataset, torch.device("cpu")).prepare


@pytest.fixture
def numbers_in(media: SimpleNamespace) -> Callable[[Prepared], list[list[int]]]:
    """Return a reader of the frame numbers (T, K) that a prepared video delivers; -1 where it delivers none."""

    def read(prepared: Prepared) -> list[list[int]]:
        numbers = [media.number_in(image.permute(1, 2, 0).numpy()) for image in prepared.inputs]
        return [[NO_FRAME if row == NO_FRAME else numbers[row] for row in segment] for segment in prepared.rows]

    return read


def mask_of(prepared: Prepared) -> str:
    return "".join("01"[int(flag)] for flag in segment_valid(prepared.rows))


@pytest.fixture
def seconds_in(media: SimpleNamespace) -> Callable[[Path], list[int | None]]:
    """Return a reader of the second that each segment of a file delivers; None for silence."""

    def read(path: Path) -> list[int | None]:
        waveform = read_waveform(path, num_seconds=10)
        rate = waveform.sample_rate_hz
        return [media.second_in(waveform.samples[:, s * rate : (s + 1) * rate], rate) for s in range(10)]

    return read


def shown_at(seconds: float, timestamps: list[float]) -> int:
    """Restate which frame is on display, slowly."""
    return max(number for number, start in enumerate(timestamps) if start <= seconds + 1e-6)


def constant(rate: float, num_frames: int) -> list[float]:
    return [number / rate for number in range(num_frames)]


VARIABLE = [n / 30 for n in range(150)] + [5 + n / 10 for n in range(50)]
HEALTHY = {
    "25 fps": ("clip.mp4", {}, constant(25, 250)),
    "17.58 fps": ("clip.mp4", {"frame_rate": Fraction(1758, 100), "num_frames": 176}, constant(17.58, 176)),
    "10 fps": ("clip.mp4", {"frame_rate": 10, "num_frames": 100}, constant(10, 100)),
    "60 fps": ("clip.mp4", {"frame_rate": 60, "num_frames": 600}, constant(60, 600)),
    "variable frame rate": ("clip.mp4", {"timestamps": VARIABLE, "num_frames": 200}, VARIABLE),
    "variable frame rate, mkv": ("clip.mkv", {"timestamps": VARIABLE, "num_frames": 200}, VARIABLE),
    "B-frames": ("clip.mp4", {"video_options": B_FRAMES}, constant(25, 250)),
    "odd size": ("clip.mp4", {"size": (81, 33), "pixel_format": "yuv444p"}, constant(25, 250)),
    "4:4:4": ("clip.mp4", {"pixel_format": "yuv444p"}, constant(25, 250)),
    "grey": ("clip.mp4", {"pixel_format": "gray"}, constant(25, 250)),
    "10 bits": ("clip.mp4", {"pixel_format": "yuv420p10le"}, constant(25, 250)),
    "mkv": ("clip.mkv", {"video_options": B_FRAMES}, constant(25, 250)),
    "webm": ("clip.webm", {**VP9, **OPUS}, constant(25, 250)),
    "avi": ("clip.avi", {"video_codec": "mpeg4", "audio_codec": "pcm_s16le"}, constant(25, 250)),
    "avi, H.264, B-frames": ("clip.avi", {"video_options": B_FRAMES, "audio_codec": "pcm_s16le"}, constant(25, 250)),
    "transport stream": ("clip.ts", {"video_options": B_FRAMES}, constant(25, 250)),
    "flash": ("clip.flv", {}, constant(25, 250)),
    "fragmented": ("clip.mp4", {"muxer_options": {"movflags": "frag_keyframe+delay_moov"}}, constant(25, 250)),
    "wrong extension": ("clip.avi", {"muxer": "mp4"}, constant(25, 250)),
    "longer than the clip": ("clip.mp4", {"num_frames": 300, "audio_seconds": 12.0}, constant(25, 300)),
    "cover picture": ("clip.mp4", {"cover": True}, constant(25, 250)),
    "8 kHz": ("clip.mp4", {"audio_rate": 8000}, constant(25, 250)),
    "48 kHz, 5.1": ("clip.mp4", {"audio_rate": 48000, "layout": "5.1"}, constant(25, 250)),
    "three channels": ("clip.mkv", {"audio_rate": 16000, "layout": "3.0", "audio_codec": "flac"}, constant(25, 250)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_every_segment_gets_the_frames_shown_and_the_second_heard_in_it(
    name, tmp_path, media, visual, audio, numbers_in, seconds_in
):
    file, settings, timestamps = HEALTHY[name]
    path = media.write(tmp_path / file, **settings)
    prepared = visual(path)
    # In AVI and where AAC's first block precedes the picture, frames start late by less than one of them.
    late = float(read_timeline(path).timestamps_seconds[0])
    assert late <= 1 / 25
    expected = [[shown_at(max(0, s + i / SAMPLES - late), timestamps) for i in range(SAMPLES)] for s in range(10)]
    assert numbers_in(prepared) == expected
    assert (prepared.reason, mask_of(prepared)) == ("ok", "1111111111")
    heard = audio(path)
    assert (heard.reason, mask_of(heard)) == ("ok", "1111111111")
    assert seconds_in(path) == list(range(10))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 250),
        ({"frame_rate": Fraction(1758, 100), "num_frames": 176}, 176),
        ({"num_frames": 230}, 230),
        ({"num_frames": 300}, 300),
        ({"video_delay": 2.2}, 250),
    ],
)
def test_the_ave_rule_cuts_all_frames_of_a_whole_file_into_ten(settings, expected, tmp_path, media, visual, numbers_in):
    path = media.write(tmp_path / "clip.mp4", **settings)
    interval = expected // 10
    prepared = visual(path, "frames")
    assert numbers_in(prepared) == [[s * interval, int(s * interval + 0.5 * interval)] for s in range(10)]
    assert prepared.reason == "ok"
    assert prepared.detail == f"{expected} frames"


@pytest.mark.parametrize("clockwise_turns", [1, 2, 3])
def test_a_rotation_in_the_metadata_is_applied(clockwise_turns, tmp_path, media):
    # x' = ax + cy, y' = bx + dy with y downwards: a telephone held upright writes (0, 1, -1, 0), a turn clockwise.
    a, b, c, d = [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)][clockwise_turns - 1]
    matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    path = media.write(tmp_path / "clip.mp4", num_frames=3, display_matrix=matrix, audio_seconds=None)
    frames = read_frames(path, read_timeline(path), [2])
    stored = np.rot90(frames[2], clockwise_turns)  # counter-clockwise
    assert stored.shape == (32, 80, 3)
    assert media.number_in(stored) == 2


# Expected per segment: visual mask, visual reason, audio mask, audio reason.
INCOMPLETE = {
    "audio starts late": ("clip.mp4", {"audio_delay": 2.4}, "1111111111", "ok", "0011111111", "late_start"),
    "audio starts late, mkv": ("clip.mkv", {"audio_delay": 2.4}, "1111111111", "ok", "0011111111", "late_start"),
    "video starts late": ("clip.mp4", {"video_delay": 2.2}, "0011111111", "late_start", "1111111111", "ok"),
    "video starts late, mkv": ("clip.mkv", {"video_delay": 2.2}, "0011111111", "late_start", "1111111111", "ok"),
    "9.2 seconds": ("clip.mp4", {"num_frames": 230, "audio_seconds": 9.2}, "1111111111", "ok", "1111111110", "short"),
    "8.3 seconds": (
        "clip.mp4",
        {"num_frames": 208, "audio_seconds": 8.3},
        "1111111110",
        "short",
        "1111111100",
        "short",
    ),
    "video ends early": ("clip.mp4", {"num_frames": 125}, "1111100000", "short", "1111111111", "ok"),
    "video ends early, mkv": ("clip.mkv", {"num_frames": 125}, "1111100000", "short", "1111111111", "ok"),
    "audio ends early": ("clip.mp4", {"audio_seconds": 5.0}, "1111111111", "ok", "1111100000", "short"),
    "audio ends early, mkv": ("clip.mkv", {"audio_seconds": 5.0}, "1111111111", "ok", "1111100000", "short"),
    "audio has a hole": ("clip.mp4", {"hole": (3, 5.6)}, "1111111111", "ok", "1110001111", "gap"),
    "audio has a hole, mkv": ("clip.mkv", {"hole": (3, 5.6)}, "1111111111", "ok", "1110001111", "gap"),
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_segments_without_media_are_masked_and_the_others_keep_their_time(
    name, tmp_path, media, visual, audio, numbers_in, seconds_in
):
    file, settings, seen, seen_reason, heard, heard_reason = INCOMPLETE[name]
    path = media.write(tmp_path / file, **settings)
    prepared = visual(path)
    assert (mask_of(prepared), prepared.reason) == (seen, seen_reason)
    late_frames = round(25 * settings.get("video_delay", 0))
    for segment, numbers in enumerate(numbers_in(prepared)):
        for sample, number in enumerate(numbers):
            assert number in (NO_FRAME, int(25 * (segment + sample / SAMPLES)) - late_frames)
    prepared = audio(path)
    assert (mask_of(prepared), prepared.reason) == (heard, heard_reason)
    if "audio_delay" not in settings:
        seconds = seconds_in(path)
        assert [seconds[s] for s in range(10) if heard[s] == "1"] == [s for s in range(10) if heard[s] == "1"]


def test_a_tone_keeps_its_place_to_the_sample_where_the_stream_starts_late_or_pauses(tmp_path, media):
    waveform = np.ones((1, 80_000), np.float32) / 2
    settings = {"num_frames": 250, "waveforms": [waveform], "audio_rate": 8000, "audio_codec": "pcm_s16le"}
    path = media.write(tmp_path / "clip.mkv", audio_delay=1.25, hole=(4.096, 6.016), **settings)
    heard = read_waveform(path, num_seconds=10)
    first_missing = np.ceil(4.096 * 8000 / 1024) * 1024 / 8000
    expected = np.zeros(80_000, bool)
    expected[10_000 : 10_000 + round(first_missing * 8000)] = True
    resumed = int(np.ceil(6.016 * 8000 / 1024)) * 1024 + 10_000
    expected[resumed:] = True
    np.testing.assert_array_equal(heard.present, expected)
    np.testing.assert_array_equal(heard.samples[0] > 0.4, expected)


def test_a_delay_shorter_than_the_tolerance_of_timestamps_is_kept(tmp_path, media):
    settings = {"waveforms": [np.ones((1, 16_000), np.float32) / 2], "audio_rate": 8000, "audio_codec": "pcm_s16le"}
    path = media.write(tmp_path / "clip.mkv", audio_delay=0.01, num_frames=25, **settings)
    assert read_waveform(path, num_seconds=2).present.argmax() == 80


def test_the_first_of_two_audio_streams_is_heard(tmp_path, media, seconds_in):
    tones = media.sound_of(10, 44100)
    path = media.write(tmp_path / "clip.mp4", waveforms=[tones, np.zeros_like(tones)])
    assert seconds_in(path) == list(range(10))


def test_samples_that_are_no_numbers_count_as_missing(tmp_path, media, audio):
    waveform = media.sound_of(10, 16000)
    waveform[0, 48_000:64_000] = np.nan
    settings = {"waveforms": [waveform], "audio_rate": 16000, "audio_codec": "pcm_f32le", "num_frames": None}
    path = media.write(tmp_path / "clip.mkv", **settings)
    prepared = audio(path)
    assert (mask_of(prepared), prepared.reason) == ("1110111111", "damaged")
    assert np.isfinite(prepared.inputs.numpy()).all()


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def is_cut_at(mask: str, share: float) -> bool:
    """Tell whether `mask` is valid up to about `share` of the clip and not beyond."""
    num_valid = mask.count("1")
    return mask == "1" * num_valid + "0" * (10 - num_valid) and abs(num_valid - 10 * share) <= 1


@pytest.mark.parametrize("share", [0.2, 0.55, 0.8, 0.95])
@pytest.mark.parametrize("sampling", ["time", "frames"])
def test_a_truncated_file_is_masked_where_it_ends_and_not_stretched(
    share, sampling, tmp_path, media, visual, audio, numbers_in, seconds_in
):
    path = cut(media.write(tmp_path / "clip.mp4", video_options=B_FRAMES), share)
    prepared = visual(path, sampling)
    for segment, numbers in enumerate(numbers_in(prepared)):
        assert numbers[0] in (NO_FRAME, 25 * segment)
        assert numbers[1] in (NO_FRAME, 25 * segment + 12)
    assert is_cut_at(mask_of(prepared), share)
    assert prepared.reason == ("truncated" if (prepared.rows == NO_FRAME).any() else "ok")
    assert prepared.detail.endswith("of 250 frames")
    prepared = audio(path)
    assert prepared.reason == "truncated"
    assert is_cut_at(mask_of(prepared), share)
    num_heard = mask_of(prepared).count("1")
    assert seconds_in(path)[:num_heard] == list(range(num_heard))


@pytest.mark.parametrize("share", np.linspace(0.1, 0.999, 15).round(3))
def test_frames_of_a_file_truncated_anywhere_are_those_their_number_says(share, tmp_path, media):
    path = cut(media.write(tmp_path / "clip.mp4", num_frames=100, video_options=B_FRAMES), share)
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


@pytest.mark.parametrize(("file", "settings"), [("clip.mkv", {}), ("clip.webm", {**VP9, **OPUS})])
def test_a_truncated_matroska_file_is_recognised_by_its_duration(file, settings, tmp_path, media, visual, audio):
    path = cut(media.write(tmp_path / file, **settings), 0.55)
    prepared = visual(path, "frames")
    assert prepared.reason == "truncated"
    assert is_cut_at(mask_of(prepared), 0.55)
    prepared = audio(path)
    assert prepared.reason == "truncated"
    assert is_cut_at(mask_of(prepared), 0.55)


def test_a_truncated_file_whose_index_was_at_its_end_is_no_media(tmp_path, media):
    path = cut(media.write(tmp_path / "clip.mp4", muxer_options={}), 0.9)
    with pytest.raises(MediaError, match=r"^clip\.mp4: [^/]*$") as caught:
        read_timeline(path)
    assert caught.value.reason == "not_media"


def test_garbage_in_the_middle_masks_what_was_lost_and_shows_nothing_built_on_it(
    tmp_path, media, visual, audio, numbers_in, seconds_in
):
    path = media.write(tmp_path / "clip.mp4", video_options=B_FRAMES)
    content = bytearray(path.read_bytes())
    start, length = len(content) // 2, len(content) // 5
    content[start : start + length] = random.Random(1).randbytes(length)
    path.write_bytes(content)
    for sampling in ("time", "frames"):
        prepared = visual(path, sampling)
        assert prepared.reason == "damaged"
        assert "0" in mask_of(prepared)
        for segment, numbers in enumerate(numbers_in(prepared)):
            assert numbers[0] in (NO_FRAME, 25 * segment)
            assert numbers[1] in (NO_FRAME, 25 * segment + 12)
    prepared = audio(path)
    assert prepared.reason == "damaged"
    assert "0" in mask_of(prepared)
    undamaged = [0, 1, 2, 3, 8, 9]
    assert all(mask_of(prepared)[segment] == "1" for segment in undamaged)
    seconds = seconds_in(path)
    assert [seconds[segment] for segment in undamaged] == undamaged


def test_what_an_edit_list_cuts_away_is_neither_counted_nor_missed(tmp_path, media, visual):
    whole = media.write(tmp_path / "whole.mp4", video_options=B_FRAMES, audio_seconds=None)
    path = tmp_path / "clip.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"movflags": "+faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:  # the last one only flushes
                offset = round(1.2 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - offset, packet.dts - offset, stream
                target.mux(packet)
    timeline = read_timeline(path)
    assert (len(timeline.timestamps_seconds), timeline.num_declared) == (220, 220)
    assert timeline.timestamps_seconds[0] == 0
    frames = read_frames(path, timeline, [0, 100, 219])
    assert [media.number_in(frame) for frame in frames.values()] == [30, 130, 249]
    assert visual(path, "frames").reason == "ok"


UNUSABLE = {
    "no bytes": (b"", "empty_file"),
    "zeros": (bytes(5000), "not_media"),
    "text": (b"hello world\n" * 300, "not_media"),
    "an error page": (b"<html><body>404</body></html>", "not_media"),
    "random bytes": (random.Random(0).randbytes(9000), "not_media"),
    "subtitles": (b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 5, "not_media"),
    "a list of files": (b"ffconcat version 1.0\nfile clip.mp4\n", "not_media"),
    "a playlist": (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nclip.ts\n#EXT-X-ENDLIST\n", "not_media"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(200), "not_media"),
}


@pytest.mark.parametrize("suffix", ["mp4", "txt", "m3u8"])
@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_no_media_is_refused_for_both_modalities(name, suffix, tmp_path, media, visual, audio):
    media.write(tmp_path / "clip.ts", num_frames=25, audio_seconds=1.0)
    content, reason = UNUSABLE[name]
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(content)
    for prepare in (visual, audio):
        with pytest.raises(MediaError, match=rf"^file\.{suffix}: ") as caught:
            prepare(path)
        assert caught.value.reason == reason
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "seen_reason", "heard_reason"),
    [
        ({"num_frames": None}, "no_video_stream", None),
        ({"num_frames": None, "cover": True}, "no_video_stream", None),
        ({"audio_seconds": None}, None, "no_audio_stream"),
        ({"num_frames": 250, "audio_seconds": 0.3}, None, "too_short"),
        ({"video_delay": 11.0}, "too_short", None),
        ({"audio_delay": 11.0}, None, "too_short"),
        ({"muxer_options": CENC}, "encrypted", "encrypted"),
    ],
)
def test_one_modality_can_fail_and_the_other_does_not_care(
    settings, seen_reason, heard_reason, tmp_path, media, visual, audio
):
    path = media.write(tmp_path / "clip.mp4", **settings)
    for prepare, reason in ((visual, seen_reason), (audio, heard_reason)):
        if reason is None:
            assert mask_of(prepare(path)) == "1111111111"
        else:
            with pytest.raises(MediaError) as caught:
                prepare(path)
            assert caught.value.reason == reason


def test_fewer_frames_than_segments_are_too_short_for_the_ave_rule_and_masked_by_time(tmp_path, media, visual):
    path = media.write(tmp_path / "clip.mp4", num_frames=9)
    with pytest.raises(MediaError, match="9 frames for 10 segments") as caught:
        visual(path, "frames")
    assert caught.value.reason == "too_short"
    prepared = visual(path)
    assert (mask_of(prepared), prepared.reason) == ("1000000000", "short")


def test_a_codec_that_nobody_knows_is_undecodable(tmp_path, media, visual):
    path = media.write(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(MediaError, match="no decoder knows its video") as caught:
        visual(path)
    assert caught.value.reason == "undecodable"


def test_frames_that_all_fail_to_decode_are_undecodable(tmp_path, media, visual, audio):
    path = media.write(tmp_path / "clip.mp4", num_frames=25)
    content = bytearray(path.read_bytes())
    start = content.find(b"mdat") + 4
    content[start:] = random.Random(0).randbytes(len(content) - start)
    path.write_bytes(content)
    for prepare in (visual, audio):
        with pytest.raises(MediaError) as caught:
            prepare(path)
        assert caught.value.reason == "undecodable"


def test_a_missing_file_and_one_the_system_refuses_are_told_apart(tmp_path, visual):
    (tmp_path / "folder.mp4").mkdir()
    for name, reason in (("none.mp4", "missing"), ("folder.mp4", "unreadable"), ("x" * 300, "unreadable")):
        with pytest.raises(MediaError) as caught:
            visual(tmp_path / name)
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
    modules = ("media", "visual", "audio", "extraction")
    source = "".join((Path(__file__).parents[3] / "pipeline" / f"{name}.py").read_text("utf-8") for name in modules)
    table = source[source.index("REASONS = {") : source.index("}", source.index("REASONS = {"))]
    assert {reason for reason in REASONS if f'"{reason}"' in source.replace(table, "")} == set(REASONS)
