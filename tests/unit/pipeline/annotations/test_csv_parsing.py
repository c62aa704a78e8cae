import pytest

from pipeline.annotations.csv_parsing import read_csv_parsing
from pipeline.core.errors import AnnotationError
from pipeline.store.parsing_manifest import ParsedClip

CLIPS = """path,split,tags
dog1.mp4,train,"Bark; Male speech, man speaking"
"bell, church.mp4",test,Bell
street/bus.mp4,val,Bus;Bark
quiet.mp4,test,
"""
EVENTS = """clip,modality,category,start,end
street/bus.mp4,both,Bus,0,3.5
street/bus.mp4,visual,Bus,6,10
"bell, church.mp4",audio,Bell,2,10
street/bus.mp4,audio,Bark,4,5
"""


@pytest.fixture
def read(dataset_params, write_parsing_tables):
    def read(clips: str = CLIPS, events: str = EVENTS, **changes: object):
        params = dataset_params(**{"task": "parsing", "format": "csv", **changes})
        return read_csv_parsing(params, write_parsing_tables(clips, events))

    return read


def odd(annotations) -> dict:
    return {
        kind: {part: texts for part, texts in parts.items() if texts}
        for kind, parts in annotations.oddities.items()
        if any(parts.values())
    }


def test_a_row_is_a_clip_and_events_are_of_val_and_test(read) -> None:
    annotations = read()
    speech = "Male speech, man speaking"
    assert annotations.clips == (
        ParsedClip("dog1", "dog1", "videos/dog1.mp4", ("Bark", speech), None, None, "train"),
        ParsedClip(
            "bell, church",
            "bell, church",
            "videos/bell, church.mp4",
            ("Bell",),
            {"Bell": "0011111111"},
            {},
            "test",
        ),
        ParsedClip(
            "street__bus",
            "street__bus",
            "videos/street/bus.mp4",
            ("Bus", "Bark"),
            {"Bus": "1111000000", "Bark": "0000100000"},
            {"Bus": "1111001111"},
            "val",
        ),
        ParsedClip("quiet", "quiet", "videos/quiet.mp4", (), {}, {}, "test"),
    )
    assert annotations.categories == ("Bark", speech, "Bell", "Bus")
    assert (annotations.num_rows, annotations.num_event_rows) == (4, {"audio": 3, "visual": 2})
    assert annotations.truth == "events.csv"
    assert odd(annotations) == {
        "clips_without_rows": {"audio": ["quiet (test)"], "visual": ["bell, church (test)", "quiet (test)"]},
        "clips_without_tags": {"test": ["quiet"]},
    }


def test_events_of_training_clips_are_counted_and_not_used(read) -> None:
    annotations = read(events=EVENTS + "dog1.mp4,both,Bark,0,1\n")
    assert annotations.clips == read().clips
    assert odd(annotations)["rows_of_training_clips"] == {"audio": ["dog1: 1 row"], "visual": ["dog1: 1 row"]}


def test_columns_may_stand_in_any_order_with_a_byte_order_mark_and_empty_lines(read) -> None:
    annotations = read(
        "\ufefftags, split ,path\r\n\r\n Bark ; Bus,val, a.mp4\r\n,,\r\n",
        "end,start,category,modality,clip\r\n3,1,Bus,visual,a.mp4\r\n",
    )
    (clip,) = annotations.clips
    assert (clip.clip_id, clip.tags, clip.visual_events) == ("a", ("Bark", "Bus"), {"Bus": "0110000000"})


def test_other_clip_lengths_and_the_raw_folder_itself(read) -> None:
    clip = read(num_segments=3, segment_seconds=3.0, videos=".", events=EVENTS.replace("10\n", "9\n")).clips[2]
    assert (clip.path, clip.audio_events["Bus"], clip.visual_events["Bus"]) == ("street/bus.mp4", "100", "101")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../a.mp4,train,Bark", r"expected a path relative .*, found '../a.mp4', which leads out of the folder"),
        (",train,Bark", r"expected a path relative .*, found nothing"),
        ("a.mp4,Train,Bark", r"expected split train, val or test, found 'Train'; write one of them in lower case"),
        ("a.mp4,background,Bark", r"expected split train, val or test, found 'background'"),
        ("a.mp4,,Bark", r"expected split train, val or test, found nothing"),
        (
            "a.mp4,train,Bark;",
            r"expected categories separated by ;, found nothing; name what happens; leave tags empty",
        ),
        ("a.mp4,train,Background", r"expected categories separated by ;, found 'background', which is the class"),
        ("a.mp4,train,Bark; Bark", r"expected every tag once, found 'Bark; Bark'; delete one of them"),
        ("x.mp4,train,Bark", r"expected a row per clip, found that of line 2 again; delete one of them"),
        ("x.mkv,train,Bark", r"expected paths that differ before the suffix .*, found 'x.mkv' and 'x.mp4'"),
        ("a.mp4,train", r"expected 3 values, found 2"),
    ],
)
def test_a_faulty_row_of_a_clip_is_refused_with_its_line(read, row: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"clips\.csv has 1 fault: line 4: {message}"):
        read(f"path,split,tags\nx.mp4,val,Bark\n\n{row}\n", "clip,modality,category,start,end\n")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("street__bus,audio,Bus,0,1", r"expected a path of clips\.csv, found 'street__bus'; write it as there, or add"),
        (",audio,Bus,0,1", r"expected a path of clips\.csv, found nothing"),
        ("street/bus.mp4,Audio,Bus,0,1", r"expected modality audio, visual or both, found 'Audio'; write one of them"),
        ("street/bus.mp4,,Bus,0,1", r"expected modality audio, visual or both, found nothing"),
        ("street/bus.mp4,audio,bus,0,1", r"expected a category that is a tag in clips\.csv, found 'bus'; write it as"),
        ("street/bus.mp4,audio,,0,1", r"expected a category that is a tag in clips\.csv, found nothing"),
        ("street/bus.mp4,audio,Bus,2,1", r"expected start and end in seconds within the clip, found start 2 after end"),
        (
            "street/bus.mp4,audio,Bus,0,12",
            r"expected start and end .*, found end 12 after the clip's 10 s; mend the row, or dataset.num_segments",
        ),
        ("street/bus.mp4,audio,Bus,,", r"expected start and end in seconds within the clip, found '', not a plain"),
        ("street/bus.mp4,visual,Bus,0,3.50", r"expected every event once, found line 2 again; delete one of the rows"),
        ("street/bus.mp4,both,Bus,6,10", r"expected every event once, found line 3 again"),
        ("street/bus.mp4,both,Bus,0,3.5", r"expected every event once, found line 2 again"),
        ("street/bus.mp4,audio,Bus,0", r"expected 5 values, found 4"),
    ],
)
def test_a_faulty_row_of_an_event_is_refused_with_its_line(read, row: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"events\.csv has 1 fault: line 6: {message}"):
        read(events=f"{EVENTS}{row}\n")


def test_faulty_rows_are_reported_together(read) -> None:
    with pytest.raises(AnnotationError, match=r"has 18 faults, the first 10: line 2: .* \| line 5: expected a path"):
        read("path,split,tags\n" + "".join(f"../{number}.mp4,none,;\n" for number in range(5)) + ",,background\n")


@pytest.mark.parametrize(
    ("clips", "events", "message"),
    [
        (
            "path,category,start,end,split\n",
            EVENTS,
            r"clips\.csv: expected the header path,split,tags, found 'path,cat",
        ),
        (
            CLIPS,
            "clip,category,start,end\n",
            r"events\.csv: expected the header clip,modality,category,start,end, found",
        ),
        (
            "path,split,tags\n",
            EVENTS,
            r"clips\.csv: expected a row per clip, found none; write it as data/small/README",
        ),
        (
            "path,split,tags\na.mp4,train,\nb.mp4,test,\n",
            "clip,modality,category,start,end\n",
            r"clips\.csv: expected a clip with a tag, found clips without tags alone; write it as data/small/README",
        ),
    ],
)
def test_other_tables_are_refused(read, clips: str, events: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read(clips, events)


@pytest.mark.parametrize("name", ["clips.csv", "events.csv"])
def test_a_missing_table_says_how_to_write_it(dataset_params, write_parsing_tables, name: str) -> None:
    raw = write_parsing_tables(CLIPS, EVENTS)
    (raw / name).unlink()
    with pytest.raises(
        AnnotationError, match=rf"{name}: .* found no file; write it as data/small/README.md shows for parsing"
    ):
        read_csv_parsing(dataset_params(task="parsing", format="csv"), raw)
