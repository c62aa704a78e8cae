"""Faults that a media file can have, each as a function that changes a file in place."""

import io
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av


def packets(path: Path) -> list[tuple[float, int, int]]:
    """Return when each video packet is shown, in seconds, and where it lies in the file, in bytes."""
    with av.open(str(path)) as container:
        return [(float(p.pts * p.time_base), p.pos, p.size) for p in container.demux(video=0) if p.size]


def _offset(path: Path, seconds: float) -> int:
    """Return where in the file the first video packet lies that is shown at `seconds` or later."""
    return next(position for shown, position, _ in packets(path) if shown >= seconds - 1e-6)


def cut(seconds: float) -> Callable[[Path], object]:
    """Cut the file off before the picture of `seconds`."""
    return lambda path: path.write_bytes(path.read_bytes()[: _offset(path, seconds)])


def cut_bytes(length: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[:length])


def overwrite(start: float, stop: float) -> Callable[[Path], object]:
    """Put random bytes where the pictures and the sound from `start` to `stop` seconds are stored."""

    def spoil(path: Path) -> None:
        content = bytearray(path.read_bytes())
        first, last = _offset(path, start), _offset(path, stop)
        content[first:last] = random.Random(1).randbytes(last - first)
        path.write_bytes(content)

    return spoil


def flip(seconds: float) -> Callable[[Path], object]:
    """Change four bytes in the middle of one picture."""

    def spoil(path: Path) -> None:
        content = bytearray(path.read_bytes())
        _, position, size = next(packet for packet in packets(path) if packet[0] >= seconds - 1e-6)
        middle = position + size // 2
        content[middle : middle + 4] = bytes(255 - byte for byte in content[middle : middle + 4])
        path.write_bytes(content)

    return spoil


def replace_bytes(old: bytes, new: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes().replace(old, new))


def overwrite_all(path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = content.find(b"mdat") + 4
    content[start:] = random.Random(0).randbytes(len(content) - start)
    path.write_bytes(content)


def begin_at(seconds: float, *, drops: bool) -> Callable[[Path], object]:
    """Copy the streams so that `seconds` becomes zero.

    The pictures before that are dropped up to a key frame, or else kept and cut away by an edit list.
    """

    def spoil(path: Path) -> None:
        whole = io.BytesIO(path.read_bytes())
        with av.open(whole) as source, av.open(str(path), "w", options={"movflags": "+faststart"}) as target:
            streams = [target.add_stream_from_template(stream) for stream in source.streams]
            has_begun = not drops
            for packet in source.demux():
                if not packet.size:
                    continue
                if packet.stream.type == "video":
                    has_begun |= packet.is_keyframe and packet.pts * packet.time_base >= seconds
                if has_begun:
                    offset = round(Fraction(seconds) / packet.time_base)
                    packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)

    return spoil
