"""A few clips as pictures of their own, which ``dvc plots`` can lay beside those of another experiment.

The clips do not depend on what was predicted: in every experiment on a data set the same ones are drawn, into files of
the same names.
"""

import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform
from PIL import Image

from pipeline.core.errors import MediaError
from pipeline.core.files import atomic_write
from pipeline.drawing.heat import attention_overlays, blend, enlarge
from pipeline.drawing.palette import Colour
from pipeline.drawing.plots import draw_bar
from pipeline.drawing.thumbnails import Thumbnail, read_thumbnails
from pipeline.drawing.timelines import TimeAxis
from pipeline.report.run import Prediction, Run

NUM_SHEETS = 6
PICTURE_WIDTH, GAP = 144, 4
NO_PICTURE_GREY = 225
ABOVE, BELOW = 30, 124
LANE_HEIGHT = 24
DOTS_PER_INCH = 100
PIXELS = IdentityTransform()
BLUE, GREY = "#1f66b5", "#888888"
_MAX_NAME = 60


def write_contact_sheets(run: Run, folder: Path, colours: dict[str, Colour]) -> list[Path]:
    """Write up to :data:`NUM_SHEETS` clips of the test split into `folder` as PNG, and remove others from it."""
    chosen = choose_sheets(run.predictions["test"], run.manifest.categories)
    paths = [folder / f"{number}-{_file_name(item.clip.clip_id)}.png" for number, item in enumerate(chosen, start=1)]
    for stale in set(folder.glob("*.png")) - set(paths):
        stale.unlink()
    for path, prediction in zip(paths, chosen, strict=True):
        with atomic_write(path) as temporary:
            temporary.write_bytes(_draw(run, prediction, colours))
    return paths


def choose_sheets(predictions: Sequence[Prediction], categories: Sequence[str]) -> list[Prediction]:
    """Return the first clip, by id, of each category in class order, then the second ones, up to six."""
    seen: Counter[str] = Counter()
    keyed = []
    for prediction in sorted(predictions, key=lambda item: item.clip.clip_id):
        category = prediction.clip.category
        keyed.append(((seen[category], categories.index(category)), prediction))
        seen[category] += 1
    return [prediction for _, prediction in sorted(keyed, key=lambda item: item[0])[:NUM_SHEETS]]


def _file_name(clip_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", clip_id)[:_MAX_NAME]


def _draw(run: Run, prediction: Prediction, colours: dict[str, Colour]) -> bytes:
    """Return a sheet as PNG; all places in it are pixels from the lower left corner."""
    pictures = _row_of_pictures(run, prediction)
    height, width = pictures.shape[:2]
    figure = Figure(figsize=(width / DOTS_PER_INCH, (height + BELOW + ABOVE) / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    clip = prediction.clip
    title = Text(4, BELOW + height + ABOVE / 2, f"{clip.category}   {clip.clip_id}", transform=PIXELS, parse_math=False)
    title.set(size=11, weight="bold", va="center_baseline")
    figure.add_artist(title)
    figure.figimage(pictures, xo=0, yo=BELOW, origin="upper")
    axis = TimeAxis(0, run.num_seconds, -GAP / 2, width + GAP / 2)
    _draw_relevance(figure, prediction, axis)
    for row, lane in enumerate(reversed(run.lanes(prediction))):
        bottom = GAP + row * (LANE_HEIGHT + GAP)
        for span in lane.without_masks().spans:
            left, length = axis.box(span.start_seconds, span.stop_seconds, gap=GAP)
            box = (left, bottom, length, LANE_HEIGHT)
            draw_bar(figure, box, colours[span.name], f"{lane.name}: {span.name}", transform=PIXELS)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_relevance(figure: Figure, prediction: Prediction, axis: TimeAxis) -> None:
    bottom, top = 66, BELOW - 8
    x, y = zip(*axis.curve(prediction.relevance, floor=bottom, ceiling=top), strict=True)
    ends, half = (axis.left, axis.right), ((bottom + top) / 2,) * 2
    figure.add_artist(Line2D(ends, half, transform=PIXELS, color=GREY, linestyle=":", linewidth=1))
    figure.add_artist(Line2D(x, y, transform=PIXELS, color=BLUE, marker="o", markersize=4, linewidth=1.5))


def _row_of_pictures(run: Run, prediction: Prediction) -> np.ndarray:
    """Return the thumbnails side by side with their overlays, (H, W, 3), uint8; grey where there is none."""
    dataset = run.params.dataset
    thumbnails: Sequence[Thumbnail | None]
    try:
        thumbnails = read_thumbnails(
            run.raw / prediction.clip.path,
            num_segments=dataset.num_segments,
            segment_seconds=dataset.segment_seconds,
        )
    except MediaError:
        thumbnails = [None] * dataset.num_segments
    height = max((thumbnail.height for thumbnail in thumbnails if thumbnail), default=PICTURE_WIDTH * 3 // 4)
    overlays = attention_overlays(prediction.maps["attention"], prediction.is_event)
    row = Image.new("RGB", (dataset.num_segments * (PICTURE_WIDTH + GAP) - GAP, height), "white")
    for segment, (thumbnail, overlay) in enumerate(zip(thumbnails, overlays, strict=True)):
        picture = Image.new("RGB", (PICTURE_WIDTH, height), (NO_PICTURE_GREY,) * 3)
        if thumbnail:
            picture = Image.open(io.BytesIO(thumbnail.content)).convert("RGB").resize((PICTURE_WIDTH, height))
        if overlay is not None:
            picture = Image.fromarray(blend(np.asarray(picture), enlarge(overlay, *picture.size)))
        row.paste(picture, (segment * (PICTURE_WIDTH + GAP), 0))
    return np.asarray(row)
