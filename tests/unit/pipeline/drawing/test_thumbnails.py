import io

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import MediaError
from pipeline.drawing.thumbnails import MAX_HEIGHT, NUM_WAVEFORM_COLUMNS, THUMBNAIL_WIDTH, read_sound, read_thumbnails


def brightness(picture):
    return np.asarray(Image.open(io.BytesIO(picture.content)).convert("L")).mean()


def levels(spectrogram):
    return np.asarray(Image.open(io.BytesIO(spectrogram)).convert("L")).astype(int)


class TestThumbnails:
    def test_there_is_one_per_segment_in_order_of_time(self, tmp_path, make_clip):
        path = make_clip(tmp_path / "clip.mp4", 4)
        pictures = read_thumbnails(path, num_segments=4, segment_seconds=1.0)
        assert [brightness(picture) for picture in pictures] == pytest.approx([40, 90, 140, 190], abs=6)

    def test_are_small_and_show_the_whole_frame(self, tmp_path, make_clip):
        picture = read_thumbnails(make_clip(tmp_path / "clip.mp4", 4), num_segments=4, segment_seconds=1.0)[0]
        assert (picture.width, picture.height) == (THUMBNAIL_WIDTH, THUMBNAIL_WIDTH * 48 // 64)
        assert Image.open(io.BytesIO(picture.content)).size == (picture.width, picture.height)

    def test_segments_after_the_end_have_none(self, tmp_path, make_clip):
        pictures = read_thumbnails(make_clip(tmp_path / "clip.mp4", 2), num_segments=4, segment_seconds=1.0)
        assert [picture is not None for picture in pictures] == [True, True, False, False]

    def test_a_segment_that_ends_before_its_middle_shows_its_start(self, tmp_path, make_clip):
        pictures = read_thumbnails(make_clip(tmp_path / "clip.mp4", 1.3), num_segments=3, segment_seconds=1.0)
        assert [picture is not None for picture in pictures] == [True, True, False]
        assert brightness(pictures[1]) == pytest.approx(90, abs=6)

    def test_a_file_that_is_no_video_is_refused(self, tmp_path):
        (tmp_path / "clip.mp4").write_text("no video")
        with pytest.raises(MediaError, match=r"clip\.mp4"):
            read_thumbnails(tmp_path / "clip.mp4", num_segments=4, segment_seconds=1.0)


class TestSound:
    def test_in_the_spectrogram_time_runs_to_the_right_and_frequency_upwards(self, tmp_path, make_clip):
        path = make_clip(tmp_path / "clip.mp4", 4)
        pixels = levels(read_sound(path, num_seconds=4.0).spectrogram)
        assert pixels.shape == (64, 200)
        middles = pixels.argmax(axis=0)[25::50]
        assert list(middles) == sorted(middles, reverse=True)
        assert len(set(middles)) == 4

    def test_silence_after_the_end_is_dark_and_flat(self, tmp_path, make_clip):
        sound = read_sound(make_clip(tmp_path / "clip.mp4", 2), num_seconds=4.0)
        pixels = levels(sound.spectrogram)
        assert pixels[:, :90].max() > 150
        assert pixels[:, 120:].max() < 20
        assert sound.extremes.shape == (NUM_WAVEFORM_COLUMNS, 2)
        low, high = sound.extremes[: NUM_WAVEFORM_COLUMNS * 2 // 5].T
        assert (low < -0.2).all()
        assert (high > 0.2).all()
        assert not sound.extremes[NUM_WAVEFORM_COLUMNS * 3 // 5 :].any()

    def test_a_file_without_audio_is_refused(self, tmp_path, make_clip):
        path = make_clip(tmp_path / "clip.mp4", 1, has_audio=False)
        with pytest.raises(MediaError, match="no audio"):
            read_sound(path, num_seconds=4.0)


def test_a_picture_that_is_a_sliver_stays_within_what_the_format_can_hold(tmp_path):
    path = tmp_path / "sliver.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 16, 2000, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((2000, 16, 3), 90, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (picture,) = read_thumbnails(path, num_segments=1, segment_seconds=1.0)
    assert (picture.width, picture.height) == (THUMBNAIL_WIDTH, MAX_HEIGHT)
