"""``Annotations.txt``, line by line: the order of the released feature files; a video may have several rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.annotations.rules import Faults, read_text
from pipeline.core.errors import shorten

FIELDS = ("Category", "VideoID", "Quality", "Start", "End")


@dataclass(frozen=True)
class Row:
    """One line of ``Annotations.txt`` as it is written, with its line number from 1."""

    line: int
    fields: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line."""
        return "&".join(self.fields)


def read_rows(path: Path, *, remedy: str) -> list[Row]:
    """Read a file of ``Category&VideoID&Quality&Start&End`` lines; a header line is skipped."""
    lines = read_text(path, remedy=remedy).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    faults = Faults(path)
    rows = []
    for number, line in enumerate(lines, start=1):
        fields = tuple(part.strip() for part in line.split("&"))
        if len(fields) != len(FIELDS):
            # An empty line is refused, not skipped: row numbers of the split count lines.
            faults.add(
                number, expected="&".join(FIELDS), found=shorten(line), remedy="write five fields separated by &"
            )
        elif number > 1 or fields[1].casefold() != "videoid":
            rows.append(Row(number, fields))
    faults.raise_if_any()
    return rows


def read_video_ids(path: Path) -> list[str]:
    """Return the video id of each row of ``Annotations.txt``, which is the order of the released feature files.

    Raises
    ------
    AnnotationError
        If the file is missing or has a row of another form.
    """
    return [row.fields[1] for row in read_rows(path, remedy="put the release's Annotations.txt there")]


def background_video_ids(count: int) -> list[str]:
    """Return the ids given to the clips of the released ``*_noisy.h5`` files, which name no videos.

    >>> background_video_ids(2)
    ['noisy-000', 'noisy-001']
    """
    return [f"noisy-{number:03d}" for number in range(count)]


def pairs_of_rows(video_ids: Sequence[str]) -> list[tuple[int, int]]:
    """Return the first row of each video with each further one, in the order of the latter.

    >>> pairs_of_rows(["b", "a", "b", "a", "b"])
    [(0, 2), (1, 3), (0, 4)]
    """
    first: dict[str, int] = {}
    pairs = [(first.setdefault(video_id, row), row) for row, video_id in enumerate(video_ids)]
    return [pair for pair in pairs if pair[0] != pair[1]]
