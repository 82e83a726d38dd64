"""Pictures of running jobs: to those who follow them and can show them, the newest only."""

from __future__ import annotations

import time

import numpy as np
import pytest

from backend.server import worker_protocol
from backend.server.worker_channel import Channel
from protocol.messages import Picture
from tests.backend.server.client import Client


def pictures(client: Client, count: int, patience: float = 5.0) -> list[tuple[str, np.ndarray]]:
    """Return the next pictures that come in, as many as are wanted or come in time."""
    got = []
    end = time.monotonic() + patience
    while len(got) < count and time.monotonic() < end:
        try:
            message, arrays, _ = client.receive(patience=end - time.monotonic())
        except TimeoutError:
            break
        if isinstance(message, Picture):
            got.append((message.job, arrays[0]))
    return got


def hello(client: Client, *features: str) -> Client:
    client.hello(*features)
    client.attach()
    return client


def test_a_follower_sees_the_newest_picture(serving, connect, scene):
    client = hello(connect(serving, attach=False), "picture")
    assert "picture" in client.welcome.features
    manifest, _ = client.offer(scene("picture 4 6 7", "sleep 0.3", "picture 3 5 9", "until-cancelled"))
    job = client.submit(manifest).job
    (first, earlier), (second, later) = pictures(client, 2)
    assert first == second == job
    assert earlier.shape == (4, 6, 3)
    np.testing.assert_array_equal(later, np.full((3, 5, 3), 9, np.uint8))
    late = hello(connect(serving, attach=False), "picture")
    late.sync(job)
    ((_, shown),) = pictures(late, 1)
    np.testing.assert_array_equal(shown, later)
    client.cancel(job)
    client.until(job, "cancelled")
    assert not serving.server.workers.pictures, "nothing is kept of a job that has ended"
    late.sync(job)
    assert not pictures(late, 1, patience=0.3)


def test_a_client_that_cannot_show_any_is_sent_none(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("picture 4 6 7", "sleep 0.2", "write out 5", "done"))
    job = client.submit(manifest).job
    client.until(job, "done")
    assert not pictures(client, 1, patience=0.2)


def test_what_is_no_picture_is_not_sent(serving, connect, scene):
    client = hello(connect(serving, attach=False), "picture")
    script = ("picture 4 400 7", 'raw {"type":"picture"}', "sleep 0.2", "picture 2 2 1", "write out 5", "done")
    job = client.submit(client.offer(scene(*script))[0]).job
    ((of, shown),) = pictures(client, 1)
    assert (of, shown.shape) == (job, (2, 2, 3))
    client.until(job, "done")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
    ],
)
def test_only_small_pictures_in_colour_are_read(tmp_path, array):
    assert worker_protocol.read_picture(tmp_path) is None
    worker_protocol.write_picture(tmp_path, array)
    assert worker_protocol.read_picture(tmp_path) is None
    worker_protocol.write_picture(tmp_path, np.ones((2, 3, 3), np.uint8))
    picture = worker_protocol.read_picture(tmp_path)
    assert picture is not None
    assert picture.shape == (2, 3, 3)
    whole = (tmp_path / worker_protocol.PICTURE).read_bytes()
    for broken in (b"no array", whole.replace(b"(2, 3, 3), }", b"(2, 3, 3), ("), whole.replace(b"(2, 3", b"(2,\0003")):
        (tmp_path / worker_protocol.PICTURE).write_bytes(broken)
        assert worker_protocol.read_picture(tmp_path) is None


def test_the_true_worker_says_that_it_has_one(tmp_path):
    from backend.server.worker import _Reporter

    _Reporter(Channel(tmp_path, "token")).picture(np.full((2, 2, 3), 5, np.uint8))
    said = worker_protocol.reports(tmp_path, "token").read_bytes().strip()
    assert isinstance(worker_protocol.unpack(said), worker_protocol.Pictured)
    assert worker_protocol.read_picture(tmp_path) is not None
