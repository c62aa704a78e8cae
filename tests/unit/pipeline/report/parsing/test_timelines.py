import pytest

from pipeline.drawing.palette import colours
from pipeline.report.parsing.timelines import build_timeline, describe_tags


def build(run, number):
    return build_timeline(run, run.predictions["test"][number], colours(run.manifest.categories))


def test_each_modality_has_its_lanes(run):
    lanes = build(run, 1).lanes
    assert {modality: [lane.category for lane in drawn] for modality, drawn in lanes.items()} == {
        "visual": ["dog"],
        "audio": ["rain"],
    }


def test_a_lane_says_where_there_is_media_and_whether_the_gate_closed_it(run):
    timeline = build(run, 1)
    (seen,), (heard,) = timeline.lanes["visual"], timeline.lanes["audio"]
    assert (seen.is_closed, seen.gate) == (False, pytest.approx(0.8, abs=0.001))
    assert (heard.is_closed, heard.gate) == (True, pytest.approx(0.2, abs=0.001))
    assert heard.has_media == (True, True, True, False)


def test_probabilities_of_the_clip_are_of_what_has_a_lane_a_tag_or_is_probable(run):
    timeline = build(run, 1)
    rows = [
        (row.category, row.is_tagged, *(round(value, 2) for value in (row.heard, row.seen, row.whole)))
        for row in timeline.clip_probabilities
    ]
    assert rows == [("dog", True, 0.2, 0.8, 0.8), ("rain", True, 0.2, 0.2, 0.2)]
    assert timeline.num_improbable == 1


def test_a_category_that_is_probable_in_the_clip_alone_is_there_too(run):
    prediction = run.predictions["test"][3]
    before = [row.category for row in build(run, 3).clip_probabilities]
    prediction.clip_probabilities[2, 0] = 0.5
    assert before == ["dog"]
    assert [row.category for row in build(run, 3).clip_probabilities] == ["bell", "dog"]
    prediction.clip_probabilities[2, 0] = 0.2


def test_tags_that_differ_from_the_segments_are_named(run):
    said = [describe_tags(prediction) for prediction in run.predictions["test"]]
    assert said == ["", "", "tagged, but in no segment: bell; in its segments, but not tagged: rain", "", ""]


def test_a_clip_without_media_has_the_reasons_and_its_lanes(run):
    timeline = build(run, 2)
    assert timeline.media.note == "no pictures: missing; no sound: missing"
    assert not timeline.media.has_pictures
    assert [lane.category for lane in timeline.lanes["audio"]] == ["rain"]
