from pathlib import Path

import pytest

from pipeline.annotations.rules import (
    NANOSECONDS,
    Faults,
    event_segments,
    fault_of_id,
    fault_of_name,
    fault_of_path,
    parse_interval,
    read_text,
    videos_folder,
)
from pipeline.core.errors import AnnotationError


@pytest.mark.parametrize(
    ("intervals", "events"),
    [
        ([], "0000"),
        ([(0, 0)], "0000"),
        ([(0, 40)], "1111"),
        ([(10, 30)], "0110"),
        ([(5, 40)], "1111"),  # exactly half of the first segment
        ([(6, 40)], "0111"),
        ([(0, 14)], "1000"),
        ([(0, 15)], "1100"),
        ([(0, 3), (5, 7)], "1000"),  # 3 + 2 of 10 is half
        ([(0, 3), (1, 4)], "0000"),  # overlapping: 4 of 10, not 6
        ([(0, 30), (10, 12)], "1110"),
        ([(30, 44)], "0001"),
        ([(35, 0), (20, 30)], "0010"),  # reversed: nothing
    ],
)
def test_a_segment_is_an_event_when_at_least_half_of_it_is_covered(
    intervals: list[tuple[int, int]], events: str
) -> None:
    assert event_segments(intervals, num_segments=4, length=10) == events


def test_events_agree_with_counting_every_tick() -> None:
    for start in range(0, 31):
        for end in range(start, 31):
            ticks = [
                "1" if sum(start <= tick < end for tick in range(s * 6, s * 6 + 6)) >= 3 else "0" for s in range(5)
            ]
            assert event_segments([(start, end)], num_segments=5, length=6) == "".join(ticks)


def test_halves_are_exact_for_decimals_that_binary_fractions_cannot_hold(dataset_params) -> None:
    params = dataset_params(segment_seconds=1.1)
    interval = parse_interval("2.75", "3.3", params)  # half of segment 2, which is 2.2 to 3.3
    assert event_segments([interval], 10, 1_100_000_000) == "0010000000"


def test_seconds_become_nanoseconds(dataset_params) -> None:
    assert parse_interval("0.5", "10", dataset_params()) == (NANOSECONDS // 2, 10 * NANOSECONDS)


def test_an_end_just_after_the_clip_is_accepted(dataset_params) -> None:
    assert parse_interval("0", "10.499", dataset_params()) == (0, 10_499_000_000)


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [
        ("-1", "3", "negative"),
        ("three", "4", "not a plain number"),
        ("", "4", "'', not a plain number"),
        ("nan", "4", "not a plain number"),
        ("0", "inf", "not a plain number"),
        ("0", "1e1", "not a plain number"),
        ("0", "٣", "not a plain number"),
        ("0", "9" * 5000, "not a plain number"),
        ("5", "4.5", "start 5 after end 4.5"),
        ("0", "10.5", "after the clip's 10 s"),
        ("20", "21", "after the clip's 10 s"),
    ],
)
def test_an_interval_outside_the_clip_is_named(dataset_params, start: str, end: str, fault: str) -> None:
    found = parse_interval(start, end, dataset_params())
    assert isinstance(found, str)
    assert fault in found
    assert len(found) < 120


def test_an_end_before_the_start_is_no_fault_where_it_may_be(dataset_params) -> None:
    params = dataset_params()
    assert parse_interval("9", "0", params, may_be_reversed=True) == (9 * NANOSECONDS, 0)
    assert parse_interval("0", "9", params, may_be_reversed=True) == (0, 9 * NANOSECONDS)
    assert parse_interval("11", "0", params, may_be_reversed=True) == "start 11 after the clip's 10 s"
    assert parse_interval("0", "11", params, may_be_reversed=True) == "end 11 after the clip's 10 s"


@pytest.mark.parametrize("video_id", ["-1qyr-IzqKY", "a_b", "Jürgen", "a b", "0.5"])
def test_ordinary_ids_pass(video_id: str) -> None:
    assert fault_of_id(video_id) is None


@pytest.mark.parametrize(
    "video_id", ["", "  ", "a/b", "../a", "..", "a..b", "a\\b", "a\0b", "a\nb", "a\x1bb", "é" * 150]
)
def test_ids_that_are_no_file_name_are_faulty(video_id: str) -> None:
    fault = fault_of_id(video_id)
    assert fault
    assert fault.isprintable()


@pytest.mark.parametrize("path", ["a.mp4", "b/a.mp4", "a..b.mp4", "ä/ö ü.mkv", "no_suffix"])
def test_paths_inside_the_folder_pass(path: str) -> None:
    assert fault_of_path(path) is None


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../a.mp4", "b/../../a.mp4", "C:\\a.mp4", "c:/a.mp4", "b\\a.mp4", "b//a.mp4", "./a", "a\0"],
)
def test_paths_out_of_the_folder_are_faulty(path: str) -> None:
    assert fault_of_path(path)


@pytest.mark.parametrize("name", ["", " ", "background", "Background", "a\nb", "a\u2028b"])
def test_names_that_are_no_category_are_faulty(name: str) -> None:
    assert fault_of_name(name)


def test_faults_are_reported_together_on_one_line_the_first_ten_with_their_number() -> None:
    faults = Faults(Path("clips.csv"))
    faults.raise_if_any()
    for line in range(1, 13):
        faults.add(line, expected="x", found="y", remedy="z")
    with pytest.raises(
        AnnotationError, match=r"clips.csv has 12 faults, the first 10: line 1: .* \| line 10: "
    ) as error:
        faults.raise_if_any()
    assert "line 11" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_single_fault_is_called_one() -> None:
    faults = Faults(Path("clips.csv"))
    faults.add(3, expected="x", found="y", remedy="z")
    with pytest.raises(AnnotationError, match=r"^clips.csv has 1 fault: line 3: expected x, found y; z$"):
        faults.raise_if_any()


def test_text_is_read_with_a_byte_order_mark_and_any_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert read_text(tmp_path / "a.txt", remedy="") == "one\ntwo\n"


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ab\xff")
    with pytest.raises(AnnotationError, match="expected UTF-8 text, found byte 2"):
        read_text(tmp_path / "a.txt", remedy="")


def test_the_videos_folder_may_be_nested_or_raw_itself(dataset_params) -> None:
    assert videos_folder(dataset_params(videos="a/b")) == "a/b/"
    assert videos_folder(dataset_params(videos="AVE/")) == "AVE/"
    assert videos_folder(dataset_params(videos=".")) == ""


@pytest.mark.parametrize("folder", ["..", "../videos", "/videos", "a/../../b"])
def test_the_videos_folder_stays_inside_raw(dataset_params, folder: str) -> None:
    with pytest.raises(AnnotationError, match=r"^dataset.videos: expected a folder inside raw"):
        videos_folder(dataset_params(videos=folder))
