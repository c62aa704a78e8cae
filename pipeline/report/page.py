"""What a task brings to the page: the frame is the same for all, what is scored and drawn is not.

A task has a folder in this one, named like it. Its templates there fill the frame, ``report.html.j2``::

    scores.html.j2       the cards above what was trained
    lead.html.j2         the words above the list of clips
    clip.html.j2         `detail`, a macro that draws a row's timeline, and `options`, one beside the filters
    mistakes.html.j2     what was wrong, and how sure it was
    categories.html.j2   the scores of each category
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.drawing.palette import Colour
from pipeline.report.explorer import Row
from pipeline.report.mistakes import Kind
from pipeline.report.run import Run


@dataclass(frozen=True)
class TaskPage:
    """The page of one task.

    Parameters
    ----------
    title : str
        What the task is called.
    score_title : str
        The score per epoch, as a chart is called.
    kinds : mapping of str to Kind
        The kinds of mistakes by their codes, in the order of the page.
    style : str
        A style sheet in the task's folder that follows the page's own; empty for none.
    load_run : callable
        Reads the outputs of all stages, by the keywords of :func:`pipeline.report.build.build_report` but `output`, and
        refuses those that do not belong together.
    describe : callable
        From a run to the values that the task's templates need beside those of the frame.
    build_row : callable
        From a run, a prediction, the colours, and whether it is shown in detail, to its row in the list.
    draw_sheet : callable
        From a run, a prediction and the colours to a picture of it as PNG.
    """

    title: str
    score_title: str
    kinds: Mapping[str, Kind]
    style: str
    load_run: Callable[..., Run]
    describe: Callable[[Any], dict[str, Any]]
    build_row: Callable[[Any, Any, Mapping[str, Colour], bool], Row]
    draw_sheet: Callable[[Any, Any, Mapping[str, Colour]], bytes]
