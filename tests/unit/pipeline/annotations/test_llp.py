from pathlib import Path

import pytest

from pipeline.annotations.llp import CATEGORIES, read_llp
from pipeline.annotations.parsing_events import ParsingAnnotations
from pipeline.core.errors import AnnotationError
from pipeline.store.parsing_manifest import ParsedClip

AUDIO, VISUAL, WHOLE = "AVVP_eval_audio.csv", "AVVP_eval_visual.csv", "AVVP_dataset_full.csv"
TRAIN, VAL, TEST = "AVVP_train.csv", "AVVP_val_pd.csv", "AVVP_test_pd.csv"


@pytest.fixture
def read(dataset_params, write_llp):
    """Return a reader of the small data set: what is changed in its files, and in params."""

    def read(more=None, changes=None, without="", **params: object) -> ParsingAnnotations:
        raw = write_llp(more, changes, without)
        return read_llp(dataset_params(**{"task": "parsing", "format": "llp", **params}), raw)

    return read


def odd(annotations: ParsingAnnotations) -> dict:
    """Return the oddities that there are."""
    return {
        kind: {part: list(texts) for part, texts in parts.items() if texts}
        for kind, parts in annotations.oddities.items()
        if any(parts.values())
    }


def test_training_clips_have_tags_and_the_others_times_too(read) -> None:
    annotations = read()
    assert annotations.clips == (
        ParsedClip(
            "aaaaaaaaaa1_0_10", "aaaaaaaaaa1", "videos/aaaaaaaaaa1_0_10.mp4", ("Speech", "Dog"), None, None, "train"
        ),
        ParsedClip(
            "aa_aaaaaa-2_1.5_11.5", "aa_aaaaaa-2", "videos/aa_aaaaaa-2_1.5_11.5.mp4", ("Car",), None, None, "train"
        ),
        ParsedClip(
            "bbbbbbbbbb1_30_40",
            "bbbbbbbbbb1",
            "videos/bbbbbbbbbb1_30_40.mp4",
            ("Speech",),
            {"Speech": "1111000000"},
            {"Speech": "1111111111"},
            "val",
        ),
        ParsedClip(
            "cccccccccc1_0_10",
            "cccccccccc1",
            "videos/cccccccccc1_0_10.mp4",
            ("Dog", "Speech"),
            {"Speech": "1001100000", "Dog": "0011111111"},
            {"Dog": "0001111000"},
            "test",
        ),
        ParsedClip(
            "cccccccccc2_20_30",
            "cccccccccc2",
            "videos/cccccccccc2_20_30.mp4",
            ("Car",),
            {"Car": "0000000001"},
            {"Car": "1111111111"},
            "test",
        ),
    )
    assert annotations.num_rows == 5
    assert annotations.num_event_rows == {"audio": 5, "visual": 3}
    assert annotations.truth == f"{AUDIO} (another than the two published copies) and {VISUAL}"
    assert odd(annotations) == {}


def test_the_classes_are_those_of_the_release_whatever_the_lists_name(read) -> None:
    assert read().categories == CATEGORIES
    assert len(set(CATEGORIES)) == 25


def test_the_rendered_data_set_has_categories_of_its_own_in_the_order_of_the_lists(read) -> None:
    siren = {TRAIN: ["dddddddddd1_0_10\tSiren"], AUDIO: ["cccccccccc2_20_30\t0\t1\tSiren"]}
    annotations = read(siren, format="synthetic")
    assert annotations.categories == ("Speech", "Dog", "Car", "Siren")
    assert annotations.truth == f"{AUDIO} and {VISUAL}"
    assert list(annotations.clips[-1].audio_events) == ["Car", "Siren"]
    with pytest.raises(AnnotationError, match=r"line 7: expected one of the 3 categories, found 'Siren'"):
        read({AUDIO: siren[AUDIO]}, format="synthetic")


def test_segments_of_another_length_count_where_half_is_covered(read) -> None:
    clip = read(num_segments=4, segment_seconds=2.5).clips[3]
    assert clip.audio_events == {"Speech": "0100", "Dog": "0111"}
    assert clip.visual_events == {"Dog": "0110"}
    decimals = {(AUDIO, 3): "cccccccccc1_0_10\t2.5\t9.25\tDog"}
    assert read(changes=decimals).clips[3].audio_events["Dog"] == "0011111110"


def test_rows_of_training_clips_are_never_read_into_them(read) -> None:
    rows = [f"aaaaaaaaaa1_0_10\t{start}\t10\tSpeech" for start in (0, 3)]
    annotations = read({AUDIO: rows, VISUAL: ["aa_aaaaaa-2_1.5_11.5\t0\t1\tDog"]})
    assert [clip.is_timed for clip in annotations.clips] == [False, False, True, True, True]
    assert annotations.clips == read().clips
    assert annotations.oddities["rows_of_training_clips"] == {
        "audio": ["aaaaaaaaaa1_0_10: 2 rows"],
        "visual": ["aa_aaaaaa-2_1.5_11.5: 1 row"],
    }


def test_rows_that_name_no_listed_clip_set_nothing_and_are_named_with_what_they_are_like(read) -> None:
    rows = [
        "bbbbbbbbbb1_30_400\t5\t6\tSpeech",
        "ccccccczzz1_0_10\t5\t6\tDog",
        "ccccccczzz1_0_10\t5\t6\tCar",
        "Speech\t5\t6\tSpeech",
        "cccccccccc2_20_30`\t5\t6\tDog",
        " cccccccccc2_20_30\t5\t6\tDog",
        "aaaaaaaa1_0_10\t5\t6\tDog",
    ]
    annotations = read({VISUAL: rows})
    assert annotations.clips == read().clips
    assert odd(annotations) == {
        "names_in_no_list": {
            "visual": [
                "bbbbbbbbbb1_30_400: line 5; val has bbbbbbbbbb1_30_40",
                "ccccccczzz1_0_10: 2 rows from line 6 on",
                "Speech: line 8",
                "cccccccccc2_20_30`: line 9; test has cccccccccc2_20_30",
                " cccccccccc2_20_30: line 10; test has cccccccccc2_20_30",
                "aaaaaaaa1_0_10: line 11; train has aaaaaaaaaa1_0_10",
            ]
        },
        "categories_as_names": {"visual": ["Speech: line 8"]},
        "names_with_stray_characters": {
            "visual": ["cccccccccc2_20_30`: line 9", " cccccccccc2_20_30: line 10"]
        },
    }  # fmt: skip


def test_intervals_that_are_empty_or_reversed_set_nothing_and_are_named(read) -> None:
    rows = ["cccccccccc2_20_30\t3\t3\tDog", "cccccccccc2_20_30\t10\t10\tCar", "cccccccccc2_20_30\t9\t0\tCar"]
    annotations = read({AUDIO: rows})
    assert annotations.clips == read().clips
    assert odd(annotations) == {
        "empty_intervals": {
            "audio": ["line 7: cccccccccc2_20_30, Dog, 3 to 3 s", "line 8: cccccccccc2_20_30, Car, 10 to 10 s"]
        },
        "reversed_intervals": {"audio": ["line 9: cccccccccc2_20_30, Car, 9 to 0 s"]},
        "clips_whose_tags_differ": {"test": ["cccccccccc2_20_30, rows without a tag: Dog"]},
    }


def test_a_tag_named_twice_is_taken_once_and_noted(read) -> None:
    annotations = read(changes={(TEST, 3): "cccccccccc2_20_30\tCar,Car"})
    assert annotations.clips[-1].tags == ("Car",)
    assert odd(annotations) == {"repeated_tags": {"test": ["cccccccccc2_20_30: Car"]}}


def videos(raw: Path, *names: str, folder: str = "videos") -> None:
    (raw / folder).mkdir(parents=True)
    for name in names:
        (raw / folder / name).write_bytes(b"x")


def test_videos_are_found_by_the_name_of_the_clip_or_by_the_id(read, write_llp) -> None:
    videos(write_llp(), "aaaaaaaaaa1_0_10.mp4", "aa_aaaaaa-2.mp4", "bbbbbbbbbb1.mkv", "cccccccccc1_0_1.mp4")
    annotations = read()
    assert [clip.path for clip in annotations.clips] == [
        "videos/aaaaaaaaaa1_0_10.mp4",
        "videos/aa_aaaaaa-2.mp4",
        "videos/bbbbbbbbbb1_30_40.mp4",
        "videos/cccccccccc1_0_10.mp4",
        "videos/cccccccccc2_20_30.mp4",
    ]
    assert [clip.video_id for clip in annotations.clips][:2] == ["aaaaaaaaaa1", "aa_aaaaaa-2"]
    assert annotations.chosen_videos == ()


def test_videos_may_lie_in_another_folder_or_in_raw_itself(read, write_llp) -> None:
    videos(write_llp(), "bbbbbbbbbb1.mp4", folder="clips/all")
    assert read(videos="clips/all").clips[2].path == "clips/all/bbbbbbbbbb1.mp4"
    (write_llp() / "bbbbbbbbbb1.mp4").write_bytes(b"x")
    assert read(videos=".").clips[2].path == "bbbbbbbbbb1.mp4"
    with pytest.raises(AnnotationError, match=r"dataset\.videos: expected a folder inside raw"):
        read(videos="../elsewhere")


def test_of_two_videos_of_a_clip_that_of_its_whole_name_is_chosen_or_neither(read, write_llp) -> None:
    videos(write_llp(), "bbbbbbbbbb1.mp4", "bbbbbbbbbb1_30_40.mp4")
    annotations = read()
    assert annotations.clips[2].path == "videos/bbbbbbbbbb1_30_40.mp4"
    assert annotations.chosen_videos == ("bbbbbbbbbb1: bbbbbbbbbb1_30_40.mp4 chosen, not bbbbbbbbbb1.mp4",)
    with pytest.raises(AnnotationError, match=r"1 ids with several, bbbbbbbbbb1: bbbbbbbbbb1.mp4, bbbbbbbbbb1_30_40"):
        read(ambiguous_videos="error")


@pytest.mark.parametrize("name", [TRAIN, VAL, TEST, AUDIO, VISUAL])
def test_a_missing_file_says_where_to_read_what_belongs_there(read, name: str) -> None:
    with pytest.raises(AnnotationError, match=rf"{name}: .* found no file; put .* see data/small/README.md"):
        read(without=name)


@pytest.mark.parametrize("name", [TRAIN, VAL, TEST, AUDIO, VISUAL])
def test_a_file_with_commas_in_place_of_tabs_is_refused(read, name: str) -> None:
    header = "filename,onset,offset,event_labels" if "eval" in name else "filename,event_labels"
    with pytest.raises(AnnotationError, match=rf"{name}: expected the header .*separated by tabs, found '{header}'"):
        read(changes={(name, 1): header})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../aaaaaaaaa_0_10\tDog", r"a clip named .*, found '../aaaaaaaaa_0_10', which leads to another folder; mend"),
        ("aaaaaaaaaa\\_0_10\tDog", r"a clip named .*, which leads to another folder"),
        ("aaaaaaaaaa9\tDog", r"a clip named <11 characters>_<start>_<end>, found 'aaaaaaaaaa9'; mend"),
        ("aaaaaaaaa9_0_10\tDog", r"a clip named .*, found 'aaaaaaaaa9_0_10'"),
        ("aaaaaaaaaa9_0_10`\tDog", r"a clip named .*, found 'aaaaaaaaaa9_0_10`'"),
        ("aaaaaaaaaa9_0_ten\tDog", r"a clip named .*, found 'aaaaaaaaaa9_0_ten'"),
        ("Dog\tDog", r"a clip named .*, found 'Dog'"),
        ("\tDog", r"a clip named .*, found nothing"),
        ("aaaaaaaaaa9_0_10\tdog", r"one of the 25 categories, found 'dog'; mend the row; a data set of other"),
        ("aaaaaaaaaa9_0_10\tDog, Car", r"one of the 25 categories, found ' Car'"),
        ("aaaaaaaaaa9_0_10\tDog,", r"one of the 25 categories, found nothing"),
        ("aaaaaaaaaa9_0_10\t", r"one of the 25 categories, found nothing"),
        (
            "aaaaaaaaaa1_0_10\tSpeech,Dog",
            r"every clip in one list, once, found 'aaaaaaaaaa1_0_10', but line 2 has it; delete",
        ),
        (
            "aaaaaaaaaa1_5_15\tDog",
            r"one clip of a video, .*, found 'aaaaaaaaaa1_5_15', but line 2 has 'aaaaaaaaaa1_0_10'",
        ),
    ],
)
def test_a_faulty_row_of_a_list_is_named_by_its_line(read, row: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"{TRAIN} has 1 fault: line 4: expected {message}"):
        read({TRAIN: [row]})


def test_a_clip_in_two_lists_is_refused(read) -> None:
    with pytest.raises(AnnotationError, match=rf"{TEST} has 1 fault: line 4: .*, but line 2 of {VAL} has it; delete"):
        read({TEST: ["bbbbbbbbbb1_30_40\tSpeech"]})
    with pytest.raises(AnnotationError, match=rf"{VAL} has 1 fault: .*, but line 3 of {TRAIN} has 'aa_aaaaaa-2_1.5_11"):
        read({VAL: ["aa_aaaaaa-2_0_10\tSpeech"]})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "../bbbbbbbbbb1_30_40\t0\t1\tDog",
            r"the name of a clip, found '../bbbbbbbbbb1_30_40', which leads to another",
        ),
        ("\t0\t1\tDog", r"the name of a clip, found nothing"),
        ("bbbbbbbbbb1_30_40\t0\t1\tdog", r"one of the 25 categories, found 'dog'"),
        ("bbbbbbbbbb1_30_40\t0\t1\tDog,Car", r"one of the 25 categories, found 'Dog,Car'"),
        ("bbbbbbbbbb1_30_40\tzero\t1\tDog", r"onset and offset in seconds within the clip, found 'zero', not a plain"),
        ("bbbbbbbbbb1_30_40\t0\t-1\tDog", r"onset and offset .*, found '-1', which is negative"),
        ("bbbbbbbbbb1_30_40\t0\t11\tDog", r"onset and offset .*, found end 11 after the clip's 10 s; mend the row, or"),
        ("bbbbbbbbbb1_30_40\t12\t0\tDog", r"onset and offset .*, found start 12 after the clip's 10 s"),
        ("bbbbbbbbbb1_30_40\t0\t1", r"4 values, separated by tabs, found 3, 'bbbbbbbbbb1_30_40\\t0\\t1'"),
    ],
)
@pytest.mark.parametrize("name", [AUDIO, VISUAL])
def test_a_faulty_row_of_events_is_named_by_its_line(read, name: str, row: str, message: str) -> None:
    line = {AUDIO: 7, VISUAL: 5}[name]
    with pytest.raises(AnnotationError, match=rf"{name} has 1 fault: line {line}: expected {message}"):
        read({name: [row]})


def test_faulty_rows_of_a_file_are_reported_together(read) -> None:
    rows = [f"bbbbbbbbbb1_30_40\t{start}\tx\tbird" for start in range(6)]
    with pytest.raises(
        AnnotationError, match=rf"{AUDIO} has 12 faults, the first 10: line 7: .* \| line 11: "
    ) as error:
        read({AUDIO: rows})
    assert str(error.value).isprintable()


HEADER, *ROWS = ["filename\tevent_labels", "aaaaaaaaaa1_0_10\tDog,Speech", "aa_aaaaaa-2_1.5_11.5\tCar"]
ROWS += ["bbbbbbbbbb1_30_40\tSpeech", "cccccccccc2_20_30\tCar", "cccccccccc1_0_10\tDog,Speech"]


def test_the_whole_list_may_be_there_and_is_then_held_to_the_three(read) -> None:
    assert read({WHOLE: [HEADER, *ROWS]}) == read()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[1:], r"clips fewer, the first is aaaaaaaaaa1_0_10 \(line 2 of AVVP_train.csv\); use .* may be deleted"),
        (
            [*ROWS, "dddddddddd1_0_10\tDog"],
            r"has 1 fault: line 7: .* found dddddddddd1_0_10 with Dog, in none; use the files of one release",
        ),
        (
            [*ROWS[:4], "cccccccccc1_0_10\tDog,Car"],
            r"has 1 fault: line 6: .* found cccccccccc1_0_10 with Dog, Car, Dog, Speech in line 2 of AVVP_test_pd.csv",
        ),
        (
            [*ROWS, ROWS[0]],
            r"has 1 fault: line 7: expected every clip in one list, once, found 'aaaaaaaaaa1_0_10', but line 2 has",
        ),
    ],
)
def test_a_whole_list_of_other_clips_or_tags_is_refused(read, rows: list[str], message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"{WHOLE}.*{message}"):
        read({WHOLE: [HEADER, *rows]})
