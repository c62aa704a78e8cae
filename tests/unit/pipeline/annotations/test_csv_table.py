import pytest

from pipeline.annotations.csv_table import read_csv_table
from pipeline.core.errors import AnnotationError

HEADER = "path,category,start,end,split\n"


@pytest.fixture
def read(dataset_params, write_table):
    def read(text: str, **changes: object):
        return read_csv_table(dataset_params(**{"format": "csv", **changes}), write_table(text))

    return read


def test_rows_of_one_path_are_one_clip(read) -> None:
    annotations = read(
        HEADER + "dog1.mp4,Bark,0,3.5,train\n"
        "street/bus.mp4,Bus,,,val\n"
        "dog1.mp4,Bark,6,10,train\n"
        '"bell, church.mp4", Church bell ,2,10,test\n'
    )
    assert [tuple(vars(clip).values()) for clip in annotations.clips] == [
        ("dog1", "dog1", "videos/dog1.mp4", "Bark", "1111001111", "train", 0.8),
        ("street__bus", "street__bus", "videos/street/bus.mp4", "Bus", "0000000000", "val", 0.0),
        ("bell, church", "bell, church", "videos/bell, church.mp4", "Church bell", "0011111111", "test", 0.8),
    ]
    assert annotations.categories == ("Bark", "Bus", "Church bell")
    assert annotations.num_rows == 4


def test_background_clips_have_a_path_and_nothing_else(read) -> None:
    annotations = read(HEADER + "rain.mp4,,,,background\ndog.mp4,Bark,0,3,train\nsnow.mp4, , , ,background\n")
    assert [(clip.clip_id, clip.category, clip.events, clip.split) for clip in annotations.clips] == [
        ("rain", "", "0000000000", "background"),
        ("dog", "Bark", "1110000000", "train"),
        ("snow", "", "0000000000", "background"),
    ]
    assert annotations.categories == ("Bark",)


def test_a_clip_may_have_a_category_and_no_times(read) -> None:
    annotations = read(HEADER + "tram.mp4,Tram,?,?,train\nbus.mp4,Bus,,,train\ndog.mp4,Bark,0,3,train\n")
    assert [(clip.clip_id, clip.category, clip.events, clip.event_share) for clip in annotations.clips] == [
        ("tram", "Tram", "??????????", None),
        ("bus", "Bus", "0000000000", 0.0),
        ("dog", "Bark", "1110000000", 0.3),
    ]
    assert annotations.categories == ("Tram", "Bus", "Bark")


@pytest.mark.parametrize("second", ["x.mp4,Tram,1,2,train", "x.mp4,Tram,?,?,train", "x.mp4,Tram,,,train"])
def test_no_other_row_stands_beside_one_without_times(read, second: str) -> None:
    with pytest.raises(
        AnnotationError, match=r"has 1 fault: line 3: expected (events, or one row with|every event once)"
    ):
        read(f"{HEADER}x.mp4,Tram,?,?,train\n{second}\n")


def test_all_that_a_background_row_should_not_have_is_reported(read) -> None:
    with pytest.raises(AnnotationError, match=r"has 3 faults: .*no category of .* \| .*no start of .* \| .*no end of "):
        read(HEADER + "rain.mp4,Bark,0,1,background\n")


def test_rows_added_at_the_end_move_nothing(read) -> None:
    text = HEADER + "b.mp4,Z,0,1,train\na.mp4,Y,0,1,val\n"
    before, after = read(text), read(text + "0.mp4,A,0,1,train\nb.mp4,Z,5,6,train\n")
    assert [clip.clip_id for clip in after.clips] == [*(clip.clip_id for clip in before.clips), "0"]
    assert after.categories == (*before.categories, "A")


def test_columns_may_stand_in_any_order_with_a_byte_order_mark_and_empty_lines(read) -> None:
    annotations = read("\ufeffsplit, end, start, category, path\r\n\r\ntrain, 3, 1, Bark, a.mp4\r\n,,,,\r\n")
    assert [(clip.clip_id, clip.events, clip.split) for clip in annotations.clips] == [("a", "0110000000", "train")]


def test_other_clip_lengths_and_the_raw_folder_itself(read) -> None:
    (clip,) = read(HEADER + "a.mp4,Bark,4,6,train\n", num_segments=3, segment_seconds=2.0, videos=".").clips
    assert (clip.events, clip.path) == ("001", "a.mp4")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../a.mp4,Bark,0,1,train", r"expected a path relative .*, found '../a.mp4', which leads out of the folder"),
        ("/a.mp4,Bark,0,1,train", r"found '/a.mp4', which is absolute"),
        ("b\\a.mp4,Bark,0,1,train", r"with a backslash"),
        (",Bark,0,1,train", r"expected a path relative .*, found nothing"),
        ("a\0.mp4,Bark,0,1,train", r"with a control character"),
        ("a.mp4,,0,1,train", r"expected a category, found nothing"),
        ("a.mp4,background,0,1,train", r"expected a category, found 'background', .*leave start and end empty"),
        ("a.mp4,Bark,2,1,train", r"found start 2 after end 1"),
        ("a.mp4,Bark,-2,1,train", r"found '-2', which is negative"),
        ("a.mp4,Bark,0,ten,train", r"found 'ten', not a plain number"),
        (
            "a.mp4,Bark,0,,train",
            r"expected start and end in seconds within the clip, or both empty, or both \?, found ''",
        ),
        ("a.mp4,Bark,?,,train", r"or both empty, or both \?, found '\?', not a plain number"),
        ("a.mp4,Bark,0,?,train", r"or both empty, or both \?, found '\?', not a plain number"),
        ("a.mp4,Bark,?,?,val", r"expected times of a clip of val, .*, found \?, which only train may have; write its"),
        (
            "a.mp4,Bark,?,?,test",
            r"expected times of a clip of test, .*, found \?, which only train may have; write its",
        ),
        ("a.mp4,,?,?,train", r"expected a category, found nothing"),
        ("a.mp4,?,?,?,train", r"expected a category, found \?; name what happens"),
        ("x.mp4,Bark,?,?,train", r"expected events, or one row with start and end \?, found both, here and in line 2"),
        ("a.mp4,Bark,0,12,train", r"found end 12 after the clip's 10 s; mend the row, or dataset.num_segments"),
        ("a.mp4,Bark,0,1,Train", r"expected split train, val, test or background, found 'Train'"),
        ("a.mp4,Bark,0,1,", r"expected split train, val, test or background, found nothing"),
        (
            "a.mp4,Bark,,,background",
            r"expected no category of a clip that is background throughout, found 'Bark'; leave",
        ),
        ("a.mp4,background,,,background", r"expected no category of .*, found 'background'; leave it empty"),
        ("a.mp4,,0,,background", r"expected no start of a clip that is background throughout, found '0'"),
        ("a.mp4,,,10,background", r"expected no end of a clip that is background throughout, found '10'"),
        ("a.mp4,Bark,0,1", r"expected 5 values, found 4"),
        ("a, b.mp4,Bark,0,1,train", r"expected 5 values, found 6; put values that hold a comma in double quotes"),
        ("x.mp4,Bark,0,1.0,train", r"expected every event once, found line 2 again"),
        ("x.mp4,Meow,4,5,train", r"expected one category per clip, 'Bark' as in line 2, found 'Meow'"),
        ("x.mp4,Bark,4,5,test", r"expected one split per clip, 'train' as in line 2, found 'test'"),
        ("x.mp4,Bark,,,train", r"expected events, or one row with start and end empty, found both, here and in line 2"),
        ("x.mkv,Bark,0,1,train", r"expected paths that differ before the suffix .*, found 'x.mkv' and 'x.mp4'"),
    ],
)
def test_a_faulty_row_is_refused_with_its_line(read, tmp_path, row: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=f"line 4: .*{message}") as error:
        read(HEADER + "x.mp4,Bark,0,1,train\n\n" + row + "\ny.mp4,Bark,,,val\n")
    assert str(error.value).startswith(f"{tmp_path / 'raw' / 'clips.csv'} has 1 fault: ")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            "x.mp4,,,,background",
            "x.mp4,Bark,0,1,train",
            r"one split per clip, 'background' as in line 2, found 'train'",
        ),
        ("x.mp4,Bark,0,1,val", "x.mp4,,,,background", r"one split per clip, 'val' as in line 2, found 'background'"),
        ("x.mp4,,,,background", "x.mp4,,,,background", r"every event once, found line 2 again"),
    ],
)
def test_a_background_clip_is_in_no_other_row(read, first: str, second: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=f"line 3: expected {message}") as error:
        read(f"{HEADER}{first}\n{second}\n")
    assert "one category per clip" not in str(error.value)


def test_an_event_beside_an_all_background_row_is_refused(read) -> None:
    with pytest.raises(AnnotationError, match="line 3: expected events, or one row with start and end empty"):
        read(HEADER + "x.mp4,Bark,,,train\nx.mp4,Bark,1,2,train\n")


def test_faulty_rows_are_reported_together(read) -> None:
    rows = "".join(f"{number}.mp4,,5,1,none\n" for number in range(7))
    with pytest.raises(AnnotationError, match=r"has 14 faults, the first 10: line 2: .* \| line 6: "):
        read(HEADER + rows)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "an empty file"),
        ("path;category;start;end;split\n", "'path;category;start;end;split'"),
        ("a.mp4,Bark,0,1,train\n", "'a.mp4,Bark,0,1,train'"),
        ("path,category,start,end,split,notes\n", "'path,category,start,end,split,notes'"),
        ("path,category,start,start,split\n", "'path,category,start,start,split'"),
    ],
)
def test_another_header_is_refused(read, text: str, found: str) -> None:
    with pytest.raises(AnnotationError, match=f"expected the header path,category,start,end,split, found {found}"):
        read(text)


def test_a_table_without_rows_is_refused(read) -> None:
    with pytest.raises(AnnotationError, match="expected a row per event, found none"):
        read(HEADER)


def test_a_quote_that_is_never_closed_is_refused(read) -> None:
    with pytest.raises(AnnotationError, match=r"clips.csv line 3: expected comma-separated values"):
        read(HEADER + '"a.mp4,Bark,0,1,train\nb.mp4,Bark,0,1,train\n')


def test_a_missing_table_says_how_to_write_it(dataset_params, tmp_path) -> None:
    with pytest.raises(AnnotationError, match=r"clips.csv: .* found no file; write it as data/small/README.md shows"):
        read_csv_table(dataset_params(format="csv"), tmp_path)
