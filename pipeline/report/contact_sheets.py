"""A few clips as pictures of their own, which ``dvc plots`` can lay beside those of another experiment.

The clips do not depend on what was predicted: in every experiment on a data set the same ones are drawn, into files of
the same names.
"""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform
from PIL import Image

from pipeline.core.errors import MediaError
from pipeline.core.files import atomic_write
from pipeline.drawing.thumbnails import Thumbnail, read_thumbnails
from pipeline.drawing.timelines import TimeAxis
from pipeline.report.run import AnyClip, Prediction, Run

NUM_SHEETS = 6
PICTURE_WIDTH, GAP = 144, 4
NO_PICTURE_GREY = 225
ABOVE = 30
DOTS_PER_INCH = 100
PIXELS = IdentityTransform()
BLUE, GREY = "#1f66b5", "#888888"
_MAX_NAME = 60

P = TypeVar("P", bound=Prediction)


def write_contact_sheets(run: Run, folder: Path, draw: Callable[[Any], bytes]) -> list[Path]:
    """Write up to :data:`NUM_SHEETS` clips of the test split into `folder` as PNG, and remove others from it.

    Parameters
    ----------
    run : Run
    folder : Path
    draw : callable
        From a prediction to its sheet, by :func:`save_sheet`.
    """
    chosen = choose_sheets(run.predictions["test"], run.manifest.categories)
    paths = [folder / f"{number}-{_file_name(item.clip.clip_id)}.png" for number, item in enumerate(chosen, start=1)]
    for stale in set(folder.glob("*.png")) - set(paths):
        stale.unlink()
    for path, prediction in zip(paths, chosen, strict=True):
        with atomic_write(path) as temporary:
            temporary.write_bytes(draw(prediction))
    return paths


def choose_sheets(predictions: Sequence[P], categories: Sequence[str]) -> list[P]:
    """Return the first clip, by id, of each category in class order, then the second ones, up to six, each once."""
    left = sorted(predictions, key=lambda item: item.clip.clip_id)
    chosen: list[P] = []
    while left:
        before = len(left)
        for category in categories:
            found = next((item for item in left if category in item.categories), None)
            if found is not None:
                left.remove(found)
                chosen.append(found)
        if len(left) == before or len(chosen) >= NUM_SHEETS:
            break
    return [*chosen, *left][:NUM_SHEETS]


def read_pictures(run: Run, clip: AnyClip) -> list[Image.Image]:
    """Return a picture per segment, all as high as the highest; grey where there is none."""
    dataset = run.params.dataset
    thumbnails: Sequence[Thumbnail | None]
    try:
        thumbnails = read_thumbnails(
            run.raw / clip.path, num_segments=dataset.num_segments, segment_seconds=dataset.segment_seconds
        )
    except MediaError:
        thumbnails = [None] * dataset.num_segments
    height = max((thumbnail.height for thumbnail in thumbnails if thumbnail), default=PICTURE_WIDTH * 3 // 4)
    return [
        Image.open(io.BytesIO(thumbnail.content)).convert("RGB").resize((PICTURE_WIDTH, height))
        if thumbnail
        else Image.new("RGB", (PICTURE_WIDTH, height), (NO_PICTURE_GREY,) * 3)
        for thumbnail in thumbnails
    ]


def begin_sheet(
    title: str, pictures: Sequence[Image.Image], num_seconds: float, *, left: int = 0, below: int
) -> tuple[Figure, TimeAxis]:
    """Return a sheet with its title and its pictures side by side, and the axis of its time.

    All places in it are pixels from the lower left corner.

    Parameters
    ----------
    title : str
        Never read as markup.
    pictures : sequence of Image, length T
    num_seconds : float
        Length of the clip.
    left, below : int
        Room beside and below the pictures.
    """
    height, width = pictures[0].height, len(pictures) * (PICTURE_WIDTH + GAP) - GAP
    row = Image.new("RGB", (width, height), "white")
    for segment, picture in enumerate(pictures):
        row.paste(picture, (segment * (PICTURE_WIDTH + GAP), 0))
    size = ((left + width) / DOTS_PER_INCH, (height + below + ABOVE) / DOTS_PER_INCH)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH)
    text = Text(4, below + height + ABOVE / 2, title, transform=PIXELS, parse_math=False)
    text.set(size=11, weight="bold", va="center_baseline")
    figure.add_artist(text)
    figure.figimage(np.asarray(row), xo=left, yo=below, origin="upper")
    return figure, TimeAxis(0, num_seconds, left - GAP / 2, left + width + GAP / 2)


def save_sheet(figure: Figure) -> bytes:
    """Return a sheet as PNG, without a date or a version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _file_name(clip_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", clip_id)[:_MAX_NAME]
