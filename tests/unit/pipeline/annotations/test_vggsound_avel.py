import csv
import json
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.annotations.prepare import prepare
from pipeline.annotations.rules import Annotations
from pipeline.annotations.vggsound_avel import read_vggsound_avel
from pipeline.core.errors import AnnotationError, ShardError
from pipeline.store.manifest import load_manifest

REPOSITORY = Path(__file__).resolve().parents[4]
HEADER = "video_id,category,split\n"
TABLE = HEADER + 'b_-c,"bird chirping, tweeting",train\na,dog barking,val\n-d,"bird chirping, tweeting",test\n'
LABELS = {"a": [0, 1, 1, 0, 1, 1, 1, 1, 0, 1], "-d": [0] * 10, "b_-c": [1] * 10, "of no row": [1]}
EVENTS = {"b_-c": "1111111111", "a": "0110111101", "-d": "0000000000"}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


@pytest.fixture
def read(dataset_params, raw: Path) -> Callable[..., Annotations]:
    """Return a reader of a folder with the given files; None takes away a file that is there by default."""

    def read_files(changes: dict[str, str | None] | None = None, **params: object) -> Annotations:
        for name, text in {"avel.csv": TABLE, "labels.json": json.dumps(LABELS), **(changes or {})}.items():
            if text is not None:
                (raw / name).write_text(text, encoding="utf-8")
        return read_vggsound_avel(dataset_params(**{"format": "vggsound_avel", **params}), raw)

    return read_files


def events(annotations: Annotations) -> dict[str, str]:
    return {clip.clip_id: clip.events for clip in annotations.clips}


def test_a_clip_is_a_row_with_its_label(read) -> None:
    annotations = read()
    assert [tuple(vars(clip).values()) for clip in annotations.clips] == [
        ("b_-c", "b_-c", "videos/b_-c.mp4", "bird chirping, tweeting", "1111111111", "train", 1.0),
        ("a", "a", "videos/a.mp4", "dog barking", "0110111101", "val", 0.7),
        ("-d", "-d", "videos/-d.mp4", "bird chirping, tweeting", "0000000000", "test", 0.0),
    ]
    assert annotations.categories == ("bird chirping, tweeting", "dog barking")
    assert (annotations.num_rows, annotations.chosen_videos) == (3, ())


def test_columns_may_stand_in_any_order_beside_others(read) -> None:
    table = '\ufeff,split, Class,video_id,category\r\n0,train,x,a,rain\r\n\r\n1, val ,y, -d , "hail, sleet"\r\n'
    assert [(clip.clip_id, clip.category, clip.split) for clip in read({"avel.csv": table}).clips] == [
        ("a", "rain", "train"),
        ("-d", "hail, sleet", "val"),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("VggsoundAVEL100kCategories.txt", "rain\ndog barking\n wind \nbird chirping, tweeting\n\n"),
        (
            "category_labels.JSON",
            json.dumps({"rain": 7, "dog barking": 0, "wind": 1, "bird chirping, tweeting": 2}),
        ),
    ],
)
def test_classes_are_in_the_order_of_their_list_also_those_without_clips(read, name: str, text: str) -> None:
    assert read({name: text}).categories == ("rain", "dog barking", "wind", "bird chirping, tweeting")


LABEL_FILES = {
    "numbers": LABELS,
    "objects": {id_: {"category": "x", "label": label} for id_, label in LABELS.items()},
    "digits": {id_: "".join(map(str, label)) for id_, label in LABELS.items()},
    "text": {id_: {"label": str(label)} for id_, label in LABELS.items()},
    "floats": {id_: [float(value) for value in label] for id_, label in LABELS.items()},
    "nested": {id_: [label] for id_, label in LABELS.items()},
    "list": [{id_: {"label": label}} for id_, label in LABELS.items()],
    "list with the same twice": [LABELS, LABELS],
}


@pytest.mark.parametrize("labels", LABEL_FILES.values(), ids=LABEL_FILES)
def test_labels_of_one_file_are_read_in_every_form(read, labels: object) -> None:
    assert events(read({"labels.json": json.dumps(labels)})) == EVENTS


@pytest.mark.parametrize("dtype", ["i8", "f4", "?"])
def test_labels_of_one_array_are_in_the_order_of_the_table(read, raw: Path, dtype: str) -> None:
    np.save(raw / "labels.npy", np.array([LABELS[id_] for id_ in EVENTS], dtype))
    assert events(read({"labels.json": None})) == EVENTS


@pytest.mark.parametrize("shape", [(10,), (1, 10)])
@pytest.mark.parametrize("in_archive", [False, True])
def test_labels_stored_one_per_clip_are_read(read, raw: Path, shape: tuple[int, ...], in_archive: bool) -> None:
    pickles = {
        id_: pickle.dumps(np.array(label, float).reshape(shape)) for id_, label in LABELS.items() if id_ in EVENTS
    }
    if in_archive:
        with zipfile.ZipFile(raw / "Labels.zip", "w") as archive:
            for id_, content in pickles.items():
                archive.writestr(f"zip/{id_}.pkl", content)
    else:
        (raw / "labels").mkdir()
        for id_, content in pickles.items():
            with zipfile.ZipFile(raw / "labels" / f"{id_}.zip", "w") as archive:
                archive.writestr(f"{id_}.pkl", content)
    assert events(read({"labels.json": None})) == EVENTS


def test_names_are_told_apart_in_any_case_and_hidden_files_are_not_looked_at(read) -> None:
    annotations = read(
        {
            "avel.csv": None,
            "labels.json": None,
            "VGGSound-AVEL50k.CSV": TABLE,
            "VGGSound-AVEL50k_Labels.JSON": json.dumps(LABELS),
            "video_label_dict.json": "?",
            "label_video_dict.json": "?",
            "._VGGSound-AVEL50k.csv": "?",
            "notes.txt": "?",
        }
    )
    assert events(annotations) == EVENTS


def test_other_numbers_of_segments_are_read(read) -> None:
    labels = {id_: label[:3] for id_, label in LABELS.items()}
    assert events(read({"labels.json": json.dumps(labels)}, num_segments=3)) == {"b_-c": "111", "a": "011", "-d": "000"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"avel.csv": None},
            r"expected one table, \*\.csv, found none; put the data set's files there, see data/small/RE",
        ),
        (
            {"other.csv": ""},
            r"expected one table, \*\.csv, found 'avel\.csv', 'other\.csv'; leave the one that is meant",
        ),
        ({"labels.json": None}, r"expected labels in one form: .*, found none; put the data set's files there"),
        ({"annos.json": ""}, r"expected labels in one form: .*, found 'annos\.json', 'labels\.json'; leave the one"),
        ({"labels.npy": ""}, r"expected labels in one form: .*, found 'labels\.json', 'labels\.npy'; leave the one"),
        ({"labels.zip": ""}, r"expected labels in one form: .*, found 'labels\.json', 'labels\.zip'; leave the one"),
        (
            {"categories.txt": "", "Category.json": ""},
            r"expected at most one \*categor\*\.txt or \*categor\*\.json, found 'Category\.json', 'categories\.txt';",
        ),
    ],
)
def test_nothing_is_guessed_where_several_files_or_none_could_be_meant(read, raw: Path, changes, message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as error:
        read(changes)
    assert str(error.value).startswith(f"{raw}: ")


def test_a_folder_of_labels_beside_a_file_of_them_is_refused(read, raw: Path) -> None:
    (raw / "labels").mkdir()
    with pytest.raises(AnnotationError, match=r"found 'labels', 'labels\.json'; leave the one that is meant"):
        read()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../a,rain,train", r"expected an id that can be a file name, found '\.\./a', which leads to another folder"),
        (",rain,train", r"expected an id that can be a file name, found nothing"),
        ("x\0,rain,train", r"expected an id that can be a file name, found 'x\\x00', with a control character"),
        ("x,,train", r"expected a category, found nothing"),
        ("x,background,train", r"expected a category, found 'background', which is the class of segments without"),
        ("x,snow,train", r"expected a category that categories\.txt lists, found 'snow'; use the files of one release"),
        (
            "x,rain,validation",
            r"expected split train, val or test, found 'validation'; write one of them in lower case",
        ),
        ("x,rain,", r"expected split train, val or test, found nothing"),
        ("a,rain,train", r"expected every row once, found line 2 again; delete one"),
        ("a,rain,test", r"expected every id once, found 'a', as line 2, 'rain' of train; delete the row that is not"),
        (
            "a,wind,train",
            r"expected every id once, found 'a', as line 2, 'rain' of train; delete the row that is not",
        ),
    ],
)
def test_a_faulty_row_is_refused_with_its_line(read, raw: Path, row: str, message: str) -> None:
    table = HEADER + "a,rain,train\n\n" + row + "\n-d,wind,val\n"
    labels = {id_: [1] * 10 for id_ in ("a", "-d", "x", "../a", "", "x\0")}
    with pytest.raises(AnnotationError, match=f"line 4: {message}") as error:
        read({"avel.csv": table, "labels.json": json.dumps(labels), "categories.txt": "wind\nrain\n"})
    assert str(error.value).startswith(f"{raw / 'avel.csv'} has 1 fault: ")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ([1] * 9, "9 for 'a'"),
        ([1] * 11, "11 for 'a'"),
        ([], "0 for 'a'"),
        ("1" * 9, "9 for 'a'"),
        ([0, 1, 2] + [1] * 7, r"'\[0, 1, 2, 1, 1, 1, 1, 1, 1, 1\]'"),
        ([0.5] * 10, r"'\[0\.5, 0\.5, .*"),
        ([None] * 10, r"'\[None, None, .*"),
        ([[0, 1]] * 10, r"'\[\[0, 1\], .*"),
        ("0" * 9 + "x", "'000000000x'"),
        ("٠" * 10, "'٠٠٠٠٠٠٠٠٠٠'"),
        (1, "'1'"),
        ({"label": 1}, r'"\{\'label\': 1\}"'),
        ({"labels": [1] * 10}, r'"\{\'labels\': \[1, .*'),
        (None, "none for 'a'"),
    ],
)
def test_a_faulty_label_is_refused_with_the_line_of_its_row(read, raw: Path, label: object, found: str) -> None:
    with pytest.raises(
        AnnotationError,
        match=f"has 1 fault: line 3: expected a label of 10 values, each 0 or 1, found {found}; use the",
    ) as error:
        read({"labels.json": json.dumps({**LABELS, "a": label})})
    assert str(error.value).startswith(f"{raw / 'avel.csv'} has 1 fault: ")


def test_a_clip_without_a_label_is_refused_in_every_form(read, raw: Path) -> None:
    with pytest.raises(AnnotationError, match=r"has 2 faults: line 3: .*, found none for 'a'; .* \| line 4: .* '-d'; "):
        read({"labels.json": json.dumps({"b_-c": [1] * 10})})
    (raw / "labels.json").unlink()
    (raw / "labels").mkdir()
    np.save(raw / "labels" / "a.npy", np.ones(10))
    with pytest.raises(
        AnnotationError, match=r"has 2 faults: line 2: .*, found none for 'b_-c'; .* \| line 4: .* '-d'; "
    ):
        read({"labels.json": None})


@pytest.mark.parametrize("shape", [(2, 5), (10, 1), (1, 1, 10), ()])
def test_an_array_of_another_shape_is_no_label(read, raw: Path, shape: tuple[int, ...]) -> None:
    (raw / "labels").mkdir()
    for id_ in EVENTS:
        np.save(raw / "labels" / f"{id_}.npy", np.ones(shape if id_ == "a" else 10))
    with pytest.raises(
        AnnotationError, match="has 1 fault: line 3: expected a label of 10 values, each 0 or 1, found "
    ):
        read({"labels.json": None})


@pytest.mark.parametrize("shape", [(2, 10), (3, 9), (30,), (3, 10, 1)])
def test_an_array_of_all_labels_has_the_shape_of_the_table(read, raw: Path, shape: tuple[int, ...]) -> None:
    np.save(raw / "labels.npy", np.ones(shape))
    with pytest.raises(
        AnnotationError, match=r"labels\.npy: expected shape \(3, 10\), rows of the table by .*, found \("
    ):
        read({"labels.json": None})


def test_a_huge_array_is_no_label_and_is_not_turned_into_a_list(read, raw: Path) -> None:
    (raw / "labels").mkdir()
    for id_ in EVENTS:
        np.save(raw / "labels" / f"{id_}.npy", np.zeros(10_000_000 if id_ == "a" else 10, np.int8))
    tracemalloc.start()
    with pytest.raises(AnnotationError, match=r"line 3: .* found 'an array of shape \(10000000,\)'; use the"):
        read({"labels.json": None})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6, "eight bytes and more per value"


def test_a_key_that_stands_twice_in_a_file_is_refused(read) -> None:
    text = json.dumps(LABELS).replace("}", ', "a": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]}')
    with pytest.raises(AnnotationError, match=r"labels\.json: expected every key once, found 'a' twice"):
        read({"labels.json": text})


def test_faults_of_rows_and_labels_are_reported_together(read) -> None:
    table = HEADER + "".join(f"id{number},rain,none\n" for number in range(7))
    with pytest.raises(
        AnnotationError, match=r"has 14 faults, the first 10: line 2: .*split.* \| line 8: .*split.*label"
    ):
        read({"avel.csv": table})


def test_a_label_file_that_holds_a_program_is_refused(read, raw: Path) -> None:
    (raw / "labels").mkdir()
    for id_ in EVENTS:
        (raw / "labels" / f"{id_}.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ShardError, match=r"labels/b_-c\.pkl: .*found a pickle that asks for 'os\.system', which is no"):
        read({"labels.json": None})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected JSON, found Expecting value: line 1 column 1 \(char 0\); fetch it again"),
        ("[" * 100_000, r"expected JSON, found maximum recursion depth exceeded"),
        ("3", r"expected an object of video ids, or a list of such objects, found int"),
        ("[[0, 1]]", r"expected an object of video ids, or a list of such objects, found list"),
        (
            '[{"a": "01"}, {"a": "00"}]',
            r"expected one label per video id, found two for 'a'; delete the one that is not",
        ),
    ],
)
def test_a_faulty_file_of_labels_is_named(read, raw: Path, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message) as error:
        read({"labels.json": text})
    assert str(error.value).startswith(f"{raw / 'labels.json'}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected a header with each of video_id, category, split once, found an empty file"),
        ("a,rain,train\n", r"expected a header with .*, found 'a,rain,train'; write it as the first line"),
        ("video_id,category\na,rain\n", r"expected a header with .*, found 'video_id,category'"),
        ("video_id,category,split,split\n", r"expected a header with .*, found 'video_id,category,split,split'"),
        (HEADER, r"expected a row per clip, found none"),
        (
            HEADER + '"a,rain,train\n',
            r"avel\.csv line 2: expected comma-separated values, found unexpected end of data",
        ),
        (
            HEADER + "a,bird chirping, tweeting,train\nb,rain\n",
            r"has 2 faults: line 2: expected 3 values, found 4; put values .* in double quotes \| line 3: .* found 2; ",
        ),
    ],
)
def test_a_faulty_table_is_named(read, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read({"avel.csv": text})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("categories.txt", "", r"expected a category per line, found none"),
        ("categories.txt", "a\n\nb\n", r"has 1 fault: line 2: expected a category, found nothing"),
        (
            "categories.txt",
            "a\nb\nBackground\na\n",
            r"has 2 faults: line 3: .* 'background', .* \| line 4: .*line 1 again",
        ),
        ("categories.json", "[0, 1]", r"expected an object whose keys are the categories, found list; write it so"),
        ("categories.json", "{", r"categories\.json: expected JSON, found Expecting property name"),
    ],
)
def test_a_faulty_list_of_categories_is_named(read, name: str, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read({name: text})


@pytest.fixture
def write_videos(raw: Path) -> Callable[..., None]:
    def write(**sizes: int) -> None:
        (raw / "videos").mkdir()
        for name, size in sizes.items():
            (raw / "videos" / name).write_bytes(bytes(size))

    return write


def paths(annotations: Annotations) -> dict[str, str]:
    return {clip.clip_id: clip.path for clip in annotations.clips}


def test_videos_are_found_with_and_without_their_start(read, write_videos) -> None:
    write_videos(
        **{
            "b_-c_000017.mp4": 1,
            "a.mp4": 1,
            "-d_17.mp4": 1,
            "-d_000017.mkv": 1,
            "of no row_000001.mp4": 1,
            "b_-c.txt": 1,
        }
    )
    annotations = read()
    assert paths(annotations) == {"b_-c": "videos/b_-c_000017.mp4", "a": "videos/a.mp4", "-d": "videos/-d.mp4"}
    assert annotations.chosen_videos == ()


def test_the_largest_start_of_several_files_is_chosen_and_noted(read, write_videos) -> None:
    write_videos(
        **{"a_000017.mp4": 13, "a_000046.mp4": 12, "a_000001.mp4": 1, "b_-c_000009.mp4": 5, "b_-c_000010.mp4": 5}
    )
    annotations = read()
    assert paths(annotations) == {"b_-c": "videos/b_-c_000010.mp4", "a": "videos/a_000046.mp4", "-d": "videos/-d.mp4"}
    assert annotations.chosen_videos == (
        "b_-c: b_-c_000010.mp4 chosen, not b_-c_000009.mp4",
        "a: a_000046.mp4 chosen, not a_000017.mp4, a_000001.mp4",
    )


def test_a_file_without_a_start_is_the_last_of_several(read, write_videos) -> None:
    write_videos(**{"a.mp4": 2, "a_000000.mp4": 3})
    annotations = read()
    assert paths(annotations)["a"] == "videos/a_000000.mp4"
    assert annotations.chosen_videos == ("a: a_000000.mp4 chosen, not a.mp4",)


def test_several_files_of_an_id_are_an_error_where_params_say_so(read, raw: Path, write_videos) -> None:
    ids = [f"id{number:02}" for number in range(12)]
    write_videos(**{f"{id_}_0000{start}.mp4": 1 for id_ in ids for start in (46, 17)}, **{"of no row.mp4": 1})
    table = HEADER + "".join(f"{id_},rain,train\n" for id_ in ids)
    labels = json.dumps(dict.fromkeys(ids, "0" * 10))
    with pytest.raises(AnnotationError, match="12 ids with several") as error:
        read({"avel.csv": table, "labels.json": labels}, ambiguous_videos="error")
    assert str(error.value) == (
        f"{raw / 'videos'}: expected one file per video id, found 12 ids with several, "
        + " | ".join(f"{id_}: {id_}_000017.mp4, {id_}_000046.mp4" for id_ in ids[:10])
        + "; delete the files that are not meant, or set dataset.ambiguous_videos to largest"
    )


def test_an_id_that_ends_like_a_start_is_its_own(read, write_videos) -> None:
    write_videos(**{"abcd_000123.mp4": 1, "abcd_000123_000005.mp4": 2})
    table = HEADER + "abcd,rain,train\nabcd_000123,rain,val\n"
    labels = json.dumps({"abcd": "0" * 10, "abcd_000123": "1" * 10})
    assert paths(read({"avel.csv": table, "labels.json": labels})) == {
        "abcd": "videos/abcd.mp4",
        "abcd_000123": "videos/abcd_000123_000005.mp4",
    }


def test_links_to_videos_count_and_dangling_ones_do_not(read, raw: Path, write_videos) -> None:
    write_videos()
    (raw / "elsewhere").write_bytes(b"xy")
    (raw / "videos" / "a_000001.mp4").symlink_to(raw / "nowhere")
    (raw / "videos" / "a_000002.mp4").symlink_to(raw / "elsewhere")
    (raw / "videos" / "b_-c.mp4").mkdir()
    assert paths(read()) == {"b_-c": "videos/b_-c.mp4", "a": "videos/a_000002.mp4", "-d": "videos/-d.mp4"}


@pytest.mark.parametrize(("folder", "prefix"), [(".", ""), ("clips/all", "clips/all/")])
def test_videos_may_lie_in_another_folder(read, raw: Path, folder: str, prefix: str) -> None:
    (raw / folder).mkdir(parents=True, exist_ok=True)
    (raw / folder / "a_000003.mp4").write_bytes(b"x")
    assert paths(read(videos=folder))["a"] == f"{prefix}a_000003.mp4"


def test_a_folder_of_videos_outside_of_raw_is_refused(read, raw: Path) -> None:
    with pytest.raises(AnnotationError, match=r"dataset\.videos: expected a folder inside raw"):
        read(videos="../elsewhere")


def test_the_manifest_of_it_is_written(dataset_params, read, raw: Path, write_videos, tmp_path: Path) -> None:
    write_videos(**{"a_000046.mp4": 12, "a_000017.mp4": 13})
    read({"categories.txt": "rain\nbird chirping, tweeting\ndog barking\n"})
    manifest = prepare(dataset_params(format="vggsound_avel"), raw, tmp_path / "out")
    assert load_manifest(tmp_path / "out") == manifest
    assert manifest.categories == ("rain", "bird chirping, tweeting", "dog barking")
    assert [(video.path, video.size_bytes) for video in manifest.videos] == [
        ("videos/b_-c.mp4", None),
        ("videos/a_000046.mp4", 12),
        ("videos/-d.mp4", None),
    ]


@pytest.fixture
def real_vggsound() -> Path:
    folder = Path(os.environ.get("AVEL_REAL_DIR", REPOSITORY.parent / "shared" / "real")) / "vggsound"
    if not (folder / "test.csv").is_file():
        pytest.skip(f"no real list of VGGSound in {folder}; set AVEL_REAL_DIR")
    return folder


@pytest.mark.slow
def test_real_names_of_vggsound_are_understood(read, raw: Path, real_vggsound: Path) -> None:
    with (real_vggsound / "test.csv").open(newline="", encoding="utf-8") as file:
        files = [(name, category) for name, category in csv.reader(file)]
    categories: dict[str, str] = {}
    starts: dict[str, list[str]] = {}
    for name, category in files:
        video_id = name[:11]
        categories.setdefault(video_id, category)
        starts.setdefault(video_id, []).append(name)
    (raw / "videos").mkdir()
    for name, _ in files:
        (raw / "videos" / name).touch()
    table = HEADER + "".join(f'{id_},"{category}",test\n' for id_, category in categories.items())
    annotations = read({"avel.csv": table, "labels.json": json.dumps(dict.fromkeys(categories, "0" * 10))})
    assert len(annotations.clips) == len(categories) > 10_000
    assert paths(annotations) == {id_: f"videos/{max(names)}" for id_, names in starts.items()}
    assert len(annotations.chosen_videos) == sum(len(names) > 1 for names in starts.values()) > 100
