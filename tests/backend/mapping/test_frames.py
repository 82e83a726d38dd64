"""Which frames of a video are taken, and that they come upright."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from backend.mapping.frames import FEWEST, MOST, choose_frames, pick
from backend.progress import silent
from backend.scene.videos import first_frames, read_frames
from protocol.errors import BadScene


def write_video(file: Path, frames: list[np.ndarray], turn: int = 0) -> None:
    """Write frames as MP4; ``turn`` of 90 degrees clockwise goes into the metadata, as phones have it."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    if turn:
        data = bytearray(file.read_bytes())
        start = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes after the type
        one = 1 << 16
        struct.pack_into(">9i", data, start, 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
        file.write_bytes(data)


def moving(count: int) -> list[np.ndarray]:
    """A random pattern that moves by two pixels a frame, of which every third frame is blurred."""
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 255, (12, 80), dtype=np.uint8), np.ones((8, 8), np.uint8))
    frames = []
    for number in range(count):
        part = wide[:, 2 * number : 2 * number + 128].astype(float)
        if number % 3:
            part = (np.roll(part, 3, 1) + part + np.roll(part, -3, 1)) / 3
        frames.append(np.repeat(part.astype(np.uint8)[:, :, None], 3, 2))
    return frames


def test_all_frames_of_a_short_video_are_taken(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(24))
    assert choose_frames(tmp_path / "a.mp4", silent) == list(range(24))


def test_the_sharpest_frame_of_each_stretch_is_taken(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(240))
    chosen = choose_frames(tmp_path / "a.mp4", silent)
    assert FEWEST <= len(chosen) <= MOST
    assert np.mean([number % 3 == 0 for number in chosen]) > 0.7


def test_frames_follow_the_motion_of_the_camera_and_not_time() -> None:
    motion = np.r_[np.full(500, 1e-4), np.full(500, 0.02)]
    chosen = np.array(pick(motion, np.ones(1000)))
    assert len(chosen) == round(500 * 0.0201 / 0.08)
    assert (chosen >= 500).mean() > 0.95


def test_the_number_of_frames_is_bounded() -> None:
    assert len(pick(np.full(5000, 1.0), np.ones(5000))) == MOST
    assert len(pick(np.full(5000, 1e-6), np.ones(5000))) == FEWEST


def test_a_turned_video_is_read_upright(tmp_path: Path) -> None:
    frame = np.zeros((96, 128, 3), np.uint8)
    frame[:, :64] = 255  # left half white; turned clockwise the upper half
    write_video(tmp_path / "a.mp4", [frame] * 3, turn=90)
    _, _, pixels = next(read_frames(tmp_path / "a.mp4"))
    assert pixels.shape == (128, 96, 3)
    assert first_frames(tmp_path / "a.mp4", 2) == (2, (96, 128))
    assert pixels[:50].mean() > 240
    assert pixels[-50:].mean() < 15


def test_frames_that_would_be_reduced_to_more_pixels_are_refused(tmp_path: Path, monkeypatch) -> None:
    write_video(tmp_path / "a.mp4", [np.zeros((16, 640, 3), np.uint8)] * 2)
    monkeypatch.setattr("backend.scene.videos.MAX_PIXELS", 640 * 16)
    with pytest.raises(BadScene, match="640 x 16 pixels, which is too wide"):
        choose_frames(tmp_path / "a.mp4", silent)


def test_damaged_parts_of_a_video_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    write_video(file, moving(90))
    content = bytearray(file.read_bytes())
    with av.open(str(file)) as container:
        spoilt = [packet for packet in container.demux(video=0) if packet.pts is not None][40:42]
        for packet in spoilt:
            assert packet.pos is not None
            content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    file.write_bytes(content)
    damages = []
    chosen = choose_frames(file, silent, lambda: damages.append(1))
    assert len(damages) == 2
    assert [number for number, _, _ in read_frames(file, wanted=set(chosen))] == chosen
    assert len(list(read_frames(file))) == 88


def test_only_wanted_frames_are_returned(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(20))
    every = {number: pixels for number, _, pixels in read_frames(tmp_path / "a.mp4")}
    some = {number: pixels for number, _, pixels in read_frames(tmp_path / "a.mp4", wanted={3, 17})}
    assert list(some) == [3, 17]
    assert all((some[number] == every[number]).all() for number in some)


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(BadScene, match=r"a\.mp4 cannot be read"):
        choose_frames(tmp_path / "a.mp4", silent)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(BadScene, match="no video stream"):
        choose_frames(tmp_path / "a.mp4", silent)
