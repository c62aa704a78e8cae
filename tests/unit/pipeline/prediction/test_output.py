import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.prediction.localization.wording import LocalizationWording
from pipeline.prediction.output import Failure, printable

HOSTILE = "a\n\n00:00 --> 00:01 <i>\"'\x1b[31m\u202e\udcff.mp4"
WORDING = LocalizationWording()
NOTICE = "Random network weights (visual): they say nothing."


def test_what_controls_a_terminal_is_escaped_and_other_scripts_are_not() -> None:
    assert printable("a\r\x1b[2J\u202e\udcff") == "a\\r\\x1b[2J\\u202e\\udcff"
    assert printable("Glocke – 鐘 'ok'") == "Glocke – 鐘 'ok'"


def test_the_table_has_a_line_per_event(make_prediction: Callable) -> None:
    paths = [Path("clip.mp4"), Path("a longer name.mp4")]
    header = WORDING.table_header(paths)
    rows = WORDING.table_rows(make_prediction(paths[0], "bb.s"), paths)
    assert header.split() == ["file", "start", "end", "relevance", "category"]
    assert [row.split() for row in rows] == [
        ["clip.mp4", "0.00", "2.00", "0.76", "bell"],
        ["clip.mp4", "3.00", "4.00", "0.78", "siren"],
    ]
    assert header.index("category") == rows[0].index("bell")
    assert WORDING.table_rows(make_prediction(paths[1], "..x"), paths)[0].endswith("no event")


def test_a_hostile_name_stays_on_its_line(make_prediction: Callable) -> None:
    paths = [Path(HOSTILE)]
    (row,) = WORDING.table_rows(make_prediction(paths[0], "<<"), paths)
    assert row.isprintable()


def test_json_says_everything(make_prediction: Callable) -> None:
    prediction = make_prediction(Path(HOSTILE), "b.x")
    text = WORDING.to_json({"method": "cpsp"}, NOTICE, ["w"], [prediction], [Failure(Path("b.mp4"), "gap", "no")])
    document = json.loads(text.encode("ascii"))
    assert document["schema"] == "avel-predictions/1"
    assert (document["notice"], document["model"], document["warnings"]) == (NOTICE, {"method": "cpsp"}, ["w"])
    assert document["errors"] == [{"file": "b.mp4", "reason": "gap", "message": "no"}]
    (video,) = document["videos"]
    assert video["file"] == HOSTILE
    assert video["events"] == [{"start_seconds": 0.0, "end_seconds": 1.0, "category": "bell", "relevance": 0.75}]
    assert [segment["prediction"] for segment in video["segments"]] == ["bell", "background", "background"]
    assert [segment["relevance"] for segment in video["segments"]] == [0.75, 0.25, None]
    assert [segment["missing"] for segment in video["segments"]] == [[], [], ["audio"]]


def test_csv_has_a_row_per_event_and_the_notice_in_each(make_prediction: Callable) -> None:
    predictions = [
        make_prediction(Path("a.mp4"), "b<"),
        make_prediction(Path(HOSTILE), "s"),
        make_prediction(Path("c"), "."),
    ]
    rows = list(csv.DictReader(io.StringIO(WORDING.to_csv(predictions, NOTICE), newline="")))
    assert [(row["file"], row["start_seconds"], row["end_seconds"]) for row in rows] == [
        ("a.mp4", "0.0", "1.0"),
        ("a.mp4", "1.0", "2.0"),
        (HOSTILE.replace("\udcff", "\\udcff"), "0.0", "1.0"),
    ]
    assert [row["category"] for row in rows] == ["bell", "<b>a & b\n--> $x_1$", "siren"]
    assert [row["relevance"] for row in rows] == ["0.750000", "0.760000", "0.750000"]
    assert {row["notice"] for row in rows} == {NOTICE}


def parse_vtt(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the notes and the cues (timing, payload) of a WebVTT file, as its specification splits it."""
    header, *blocks = text.rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    notes, cues = [], []
    for block in blocks:
        first, *rest = block.split("\n")
        if first == "NOTE":
            assert "-->" not in block
            notes += rest
        else:
            assert first.count("-->") == 1
            assert "-->" not in "".join(rest)
            cues.append((first, "\n".join(rest)))
    return notes, cues


def test_webvtt_has_a_cue_per_event(make_prediction: Callable) -> None:
    text = WORDING.to_vtt(make_prediction(Path("videos/clip.mp4"), "bb.s"), "the model", "")
    notes, cues = parse_vtt(text)
    assert notes == ["clip.mp4: audio-visual events", "the model"]
    assert cues == [
        ("00:00:00.000 --> 00:00:02.000", "bell (0.76)"),
        ("00:00:03.000 --> 00:00:04.000", "siren (0.78)"),
    ]


def test_hostile_names_do_not_break_webvtt(make_prediction: Callable) -> None:
    notes, cues = parse_vtt(WORDING.to_vtt(make_prediction(Path(HOSTILE), "<.<"), "the model", NOTICE))
    assert len(notes) == 3
    assert notes[2] == NOTICE
    assert [payload for _, payload in cues] == [
        "&lt;b&gt;a &amp; b\\n--&gt; $x_1$ (0.75, random weights)",
        "&lt;b&gt;a &amp; b\\n--&gt; $x_1$ (0.77, random weights)",
    ]


def test_webvtt_of_a_long_video_counts_hours(make_prediction: Callable) -> None:
    _, cues = parse_vtt(WORDING.to_vtt(make_prediction(Path("a.mp4"), "." * 3661 + "b"), "the model", ""))
    assert cues[0][0] == "01:01:01.000 --> 01:01:02.000"


def test_nothing_found_is_still_webvtt(make_prediction: Callable) -> None:
    assert parse_vtt(WORDING.to_vtt(make_prediction(Path("a.mp4"), ".."), "the model", ""))[1] == []


@pytest.mark.parametrize(
    "convert",
    [
        lambda p: WORDING.to_csv([p], ""),
        lambda p: WORDING.to_vtt(p, "m", ""),
        lambda p: WORDING.to_json({}, "", [], [p], []),
    ],
)
def test_text_can_be_written_as_utf8(convert: Callable, make_prediction: Callable) -> None:
    convert(make_prediction(Path(HOSTILE), "<")).encode("utf-8")
