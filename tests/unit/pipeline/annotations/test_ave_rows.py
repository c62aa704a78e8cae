from pipeline.annotations.ave_rows import background_video_ids, pairs_of_rows, read_video_ids

ROWS = [
    "Church bell&aaa&good&0&10",
    "Bark&bbb&good&2&5",
    "Church bell&aaa&good&6&8",
    "Accordion&-c_&bad&0&0",
]


def test_video_ids_are_those_of_the_rows_in_order(write_ave) -> None:
    raw = write_ave(ROWS, header="Category&VideoID&Quality&StartTime&EndTime")
    assert read_video_ids(raw / "Annotations.txt") == ["aaa", "bbb", "aaa", "-c_"]


def test_ids_of_background_clips_count_from_zero_in_three_digits() -> None:
    assert background_video_ids(0) == []
    assert background_video_ids(178)[::177] == ["noisy-000", "noisy-177"]
    assert len(set(background_video_ids(2000))) == 2000


def test_rows_of_one_video_are_paired_with_its_first() -> None:
    assert pairs_of_rows([]) == pairs_of_rows("abc") == []
    assert pairs_of_rows(["b", "a", "b", "a", "b"]) == [(0, 2), (1, 3), (0, 4)]
