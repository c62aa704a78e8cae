from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.synthetic.encoding import encode_clip


def test_a_written_clip_decodes_to_what_was_given(tmp_path, decode):
    frames = [np.full((48, 64, 3), 20 * index, np.uint8) for index in range(12)]
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    encode_clip(tmp_path / "a.mp4", frames, tone[None], frame_rate=Fraction(12), sample_rate_hz=16000)
    decoded, sound = decode(tmp_path / "a.mp4")
    assert [round(frame.mean() / 20) for frame in decoded] == list(range(12))
    assert sound.shape[0] == 1
    assert sound.shape[1] == pytest.approx(16000, abs=1024)
    assert abs(sound).max() == pytest.approx(0.5, abs=0.05)


def test_either_stream_may_be_left_out_and_either_may_start_late(tmp_path, decode):
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
