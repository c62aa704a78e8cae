import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.prediction.output import Failure
from pipeline.prediction.parsing.wording import ParsingWording

WORDING = ParsingWording()
HOSTILE = "a\n\n00:00 --> 00:01 <i>\x1b[31m\udcff.mp4"
HOSTILE_CATEGORY = "<b>a & b\n--> $x_1$"
NOTICE = "Random network weights (visual): they say nothing."


def test_the_table_has_a_line_per_event(make_parsed: Callable) -> None:
    paths = [Path("clip.mp4"), Path("a longer name.mp4")]
    header = WORDING.table_header(paths)
    rows = WORDING.table_rows(make_parsed(paths[0], heard="bb.", seen=".b."), paths)
    assert header.split() == ["file", "start", "end", "probability", "modality", "category"]
    assert [row.split() for row in rows] == [
        ["clip.mp4", "0.00", "2.00", "0.70", "audio", "bell"],
        ["clip.mp4", "1.00", "2.00", "0.71", "visual", "bell"],
    ]
    assert header.index("category") == rows[0].index("bell") == rows[1].index("bell")
    assert WORDING.table_rows(make_parsed(paths[1], heard="..x", seen="..."), paths)[0].endswith(
        "nothing heard or seen"
    )


def test_a_hostile_name_stays_on_its_line(make_parsed: Callable) -> None:
    prediction = make_parsed(Path(HOSTILE), heard="b", seen=".", categories=(HOSTILE_CATEGORY, "siren"))
    (row,) = WORDING.table_rows(prediction, [Path(HOSTILE)])
    assert row.isprintable()


def test_json_says_everything(make_parsed: Callable) -> None:
    prediction = make_parsed(Path(HOSTILE), heard="2.x", seen="b..", warnings=("nothing is heard there",))
    failures = [Failure(Path("b.mp4"), "gap", "no")]
    document = json.loads(WORDING.to_json({"gate": "own"}, NOTICE, ["w"], [prediction], failures).encode("ascii"))
    assert document["schema"] == "avel-parsing/1"
    assert (document["notice"], document["model"], document["warnings"]) == (NOTICE, {"gate": "own"}, ["w"])
    assert document["errors"] == [{"file": "b.mp4", "reason": "gap", "message": "no"}]
    (video,) = document["videos"]
    assert (video["file"], video["duration_seconds"]) == (HOSTILE, 3.0)
    assert video["warnings"] == ["nothing is heard there"]
    times = {"start_seconds": 0.0, "end_seconds": 1.0}
    assert video["events"] == [
        {**times, "modality": "audio", "category": "bell", "probability": 0.7},
        {**times, "modality": "visual", "category": "bell", "probability": 0.7},
        {**times, "modality": "audio", "category": "siren", "probability": 0.7},
    ]
    assert video["segments"] == [
        {
            **times,
            "heard": ["bell", "siren"],
            "seen": ["bell"],
            "heard_probabilities": [0.7, 0.7],
            "seen_probabilities": [0.7, 0.2],
            "missing": [],
        },
        {
            "start_seconds": 1.0,
            "end_seconds": 2.0,
            "heard": [],
            "seen": [],
            "heard_probabilities": [0.2, 0.2],
            "seen_probabilities": [0.2, 0.2],
            "missing": [],
        },
        {
            "start_seconds": 2.0,
            "end_seconds": 3.0,
            "heard": [],
            "seen": [],
            "heard_probabilities": None,
            "seen_probabilities": [0.2, 0.2],
            "missing": ["audio"],
        },
    ]


def test_csv_has_a_row_per_event_and_the_notice_in_each(make_parsed: Callable) -> None:
    predictions = [
        make_parsed(Path("a.mp4"), heard="b.", seen=".s", categories=("bell", HOSTILE_CATEGORY)),
        make_parsed(Path(HOSTILE), heard="s", seen="."),
        make_parsed(Path("c"), heard=".", seen="."),
    ]
    text = WORDING.to_csv(predictions, NOTICE)
    assert text.splitlines()[0] == "file,start_seconds,end_seconds,modality,category,probability,notice"
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["file"], row["start_seconds"], row["modality"], row["category"]) for row in rows] == [
        ("a.mp4", "0.0", "audio", "bell"),
        ("a.mp4", "1.0", "visual", HOSTILE_CATEGORY),
        (HOSTILE.replace("\udcff", "\\udcff"), "0.0", "audio", "siren"),
    ]
    assert [row["probability"] for row in rows] == ["0.700000", "0.710000", "0.700000"]
    assert {row["notice"] for row in rows} == {NOTICE}


def cues_of(text: str) -> list[str]:
    """Return the cues of a WebVTT file, each on one line."""
    header, note, *cues = text.rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    assert note.startswith("NOTE\n")
    assert all(cue.count("\n") == 1 and cue.count("-->") == 1 for cue in cues)
    return [cue.replace("\n", "  ") for cue in cues]


def test_webvtt_says_whether_a_category_is_heard_seen_or_both(make_parsed: Callable) -> None:
    prediction = make_parsed(Path("videos/clip.mp4"), heard="bbb.ss", seen=".bbb.s")
    text = WORDING.to_vtt(prediction, "the model", "")
    assert "clip.mp4: what is heard and seen\nthe model\n" in text
    assert cues_of(text) == [
        "00:00:00.000 --> 00:00:01.000  bell, heard (0.70)",
        "00:00:01.000 --> 00:00:03.000  bell, heard and seen (0.71, 0.71)",
        "00:00:03.000 --> 00:00:04.000  bell, seen (0.73)",
        "00:00:04.000 --> 00:00:05.000  siren, heard (0.74)",
        "00:00:05.000 --> 00:00:06.000  siren, heard and seen (0.75, 0.75)",
    ]


def test_cues_are_in_order_of_time_not_of_classes(make_parsed: Callable) -> None:
    text = WORDING.to_vtt(make_parsed(Path("a.mp4"), heard="s.2", seen="..."), "the model", "")
    assert [cue.split("  ")[1] for cue in cues_of(text)] == [
        "siren, heard (0.70)",
        "bell, heard (0.72)",
        "siren, heard (0.72)",
    ]


def test_hostile_names_do_not_break_webvtt(make_parsed: Callable) -> None:
    prediction = make_parsed(Path(HOSTILE), heard="b", seen=".", categories=(HOSTILE_CATEGORY, "siren"))
    (cue,) = cues_of(WORDING.to_vtt(prediction, "the model", NOTICE))
    assert cue.endswith("  &lt;b&gt;a &amp; b\\n--&gt; $x_1$, heard (0.70, random weights)")


def test_nothing_found_is_still_webvtt(make_parsed: Callable) -> None:
    assert cues_of(WORDING.to_vtt(make_parsed(Path("a.mp4"), heard=".", seen="."), "the model", "")) == []


@pytest.mark.parametrize(
    "convert",
    [
        lambda prediction: WORDING.to_csv([prediction], ""),
        lambda prediction: WORDING.to_vtt(prediction, "m", ""),
        lambda prediction: WORDING.to_json({}, "", [], [prediction], []),
    ],
)
def test_text_can_be_written_as_utf8(convert: Callable, make_parsed: Callable) -> None:
    convert(make_parsed(Path(HOSTILE), heard="b", seen="s")).encode("utf-8")
