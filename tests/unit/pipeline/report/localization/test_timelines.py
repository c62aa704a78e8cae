import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.drawing.heat import attention_strengths, map_colours, overlay_colours
from pipeline.drawing.palette import colours
from pipeline.report.localization.inputs import load_run
from pipeline.report.localization.run import MATRICES
from pipeline.report.localization.timelines import build_timeline
from pipeline.report.mistakes import segment_kinds
from pipeline.training.localization.decisions import MATRICES as WRITTEN_MATRICES


@pytest.fixture(scope="module")
def run(run_with_media):
    return load_run(params=run_with_media.params, **run_with_media.folders)


def build(run, number):
    prediction = run.predictions["test"][number]
    kinds = segment_kinds(prediction.truth, prediction.predicted)
    return build_timeline(run, prediction, kinds, colours(run.manifest.categories))


def pixels(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_the_matrices_are_those_that_evaluation_writes():
    assert sorted(MATRICES) == sorted(WRITTEN_MATRICES)


def test_an_overlay_is_the_attention_of_its_own_segment(run):
    prediction = run.predictions["test"][0]
    prediction.maps["attention"] = np.random.default_rng(1).dirichlet(np.ones(49), 4).astype(np.float16)
    strengths = attention_strengths(prediction.maps["attention"])
    timeline = build(run, 0)
    assert prediction.predicted == ("background", "bell", "bell", "background")
    assert [picture.overlay is not None for picture in timeline.media.pictures] == [False, True, True, False]
    for segment in (1, 2):
        assert np.array_equal(pixels(timeline.media.pictures[segment].overlay), overlay_colours(strengths[segment]))
    for segment in range(4):
        assert np.array_equal(pixels(timeline.attention[segment].address), map_colours(strengths[segment]))


def test_rows_of_a_matrix_are_the_segments_that_listen(run):
    timeline = build(run, 0)
    assert [matrix.title for matrix in timeline.matrices] == [
        "Visual → audio, all pairs",
        "Visual → audio, kept",
        "Audio → visual, all pairs",
        "Audio → visual, kept",
    ]
    assert "strongest audio segment 2 with visual segment 3, 0.75" in timeline.matrices[2].figure
    address = timeline.matrices[0].figure.partition('href="')[2].partition('"')[0]
    assert np.argwhere(pixels(address)[..., 3]).tolist() == [[1, 2]]


def test_a_clip_without_media_has_the_reasons_and_its_names(run):
    timeline = build(run, 2)
    assert timeline.media.note == "no pictures: missing; no sound: missing"
    assert not timeline.media.has_pictures
    assert timeline.media.spectrogram is timeline.media.waveform is None
    assert [span.name for span in timeline.lanes[0].spans] == ["background", "bell", "background"]
    assert len(timeline.attention) == 4


def test_masked_segments_are_marked_in_what_was_predicted(run):
    assert [(span.start, span.is_masked) for span in build(run, 1).lanes[1].spans] == [
        (0, False), (1, False), (2, False), (3, True)
    ]  # fmt: skip
