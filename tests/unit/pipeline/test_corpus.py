"""Every awkward file of the corpus: which pictures and which second each segment gets, which are masked, and why."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.core.errors import MediaError
from pipeline.features.decoding import Prepared
from pipeline.media.container import REASONS
from pipeline.media.segments import NO_FRAME, segment_valid

NUM_SEGMENTS, SAMPLES = 10, 2  # as the corpus is for


def outcome_of(prepare: Callable[[], Prepared]) -> tuple[tuple[str, str, str], Prepared | None]:
    """Return what the ledger says (status, reason, mask), and what was prepared."""
    try:
        prepared = prepare()
    except MediaError as error:
        return ("failed", error.reason, ""), None
    valid = segment_valid(prepared.rows)
    status = "ok" if valid.all() else "partial" if valid.any() else "failed"
    return (status, prepared.reason, "".join("01"[int(flag)] for flag in valid)), prepared


def shown_at(seconds: float, shown: tuple[float, ...]) -> int:
    """Restate which frame is on display, slowly; the first also stands for the frame period before it."""
    period = float(np.median(np.diff(shown))) if len(shown) > 1 else 1 / SAMPLES
    if not shown[0] - period <= seconds < shown[-1] + period:
        return NO_FRAME
    return max((number for number, start in enumerate(shown) if start <= seconds + 1e-6), default=0)


def counted_to(segment: int, sample: int, num_frames: int) -> int:
    """Restate the rule of the AVE release: frames are counted, whenever they are shown."""
    interval = num_frames // NUM_SEGMENTS
    return int(segment * interval + sample / SAMPLES * interval)


@pytest.mark.parametrize("sampling", ["time", "frames"])
def test_segments_get_the_pictures_that_are_decided(awkward_file, sampling, tmp_path, visual, numbers_in):
    path = awkward_file.write(tmp_path / awkward_file.file_name)
    outcome, prepared = outcome_of(lambda: visual(path, sampling))
    assert outcome == (awkward_file.visual if sampling == "time" else awkward_file.visual_by_number)
    if prepared is None:
        return
    expected = [
        [
            shown_at(segment + sample / SAMPLES, awkward_file.shown)
            if sampling == "time"
            else counted_to(segment, sample, awkward_file.num_counted)
            for sample in range(SAMPLES)
        ]
        for segment in range(NUM_SEGMENTS)
    ]
    assert numbers_in(prepared, awkward_file.quarter_turns) == [
        [NO_FRAME if n in awkward_file.lost or n == NO_FRAME else n + awkward_file.first_number for n in segment]
        for segment in expected
    ]


def test_segments_get_the_sound_that_is_decided(awkward_file, tmp_path, audio, seconds_in):
    path = awkward_file.write(tmp_path / awkward_file.file_name)
    outcome, prepared = outcome_of(lambda: audio(path))
    assert outcome == awkward_file.audio
    if prepared is None:
        return
    assert np.isfinite(prepared.inputs).all()
    valid = awkward_file.audio.valid
    assert seconds_in(prepared) == [
        second if flag == "1" else NO_FRAME for second, flag in zip(awkward_file.heard, valid, strict=True)
    ]


def test_the_corpus_gives_every_reason_that_a_media_file_can(corpus):
    given = {
        outcome.reason for entry in corpus.values() for outcome in (entry.visual, entry.visual_by_number, entry.audio)
    }
    assert given == {"ok", *REASONS} - {"missing", "unreadable", "timed_out", "crashed", "bad_array"}
