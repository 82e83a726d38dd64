"""What other users of the machine may read of a server: nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from backend.server.private import make_private, write_private
from tests.backend.server.conftest import Serving

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file modes")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(root: Path) -> list[Path]:
    """What another user could read, who goes from folder to folder."""
    found = []
    for path in root.iterdir():
        if mode(path) & 0o077:
            found.append(path)
            if path.is_dir():
                found += open_to_others(path)
    return found


def test_a_data_folder_is_its_owners_alone(tmp_path, connect, scene):
    served = Serving(tmp_path / "data")
    client = connect(served)
    job = client.submit(client.offer(scene("write out 10", "done", a=1000))[0]).job
    client.until(job, "done")
    assert mode(served.data) == 0o700
    for name in ("store", "jobs", "select", "poses"):
        assert mode(served.data / name) == 0o700
    assert mode(served.data / "jobs.sqlite") == 0o600
    assert mode(served.data / "files.sqlite") == 0o600
    served.stop()


def test_a_data_folder_of_before_is_closed(tmp_path):
    data = tmp_path / "data"
    for folder in (data, data / "store", data / "jobs", data / "store" / "ab"):
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
    for name in ("jobs.sqlite", "jobs.sqlite-wal", "lock", "lock.pid", "facts.log"):
        (data / name).touch(0o644)
    make_private(data)
    assert mode(data) == 0o700
    assert mode(data / "store") == 0o700
    assert mode(data / "jobs.sqlite") == mode(data / "jobs.sqlite-wal") == 0o600


def test_a_folder_with_other_things_stays_open_and_a_servers_things_in_it_do_not(tmp_path):
    """Such as /tmp, or the folder of a user."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "letter.txt").touch(0o644)
    served = Serving(shared)
    try:
        assert mode(shared) == 0o755
        assert mode(shared / "letter.txt") == 0o644
        readable = {path.name for path in open_to_others(shared)}
        assert readable <= {"letter.txt", "lock.pid", "facts.log"}
        assert readable.isdisjoint({"store", "jobs", "select", "poses", "jobs.sqlite", "files.sqlite"})
    finally:
        served.stop()


def test_a_link_is_not_followed(tmp_path):
    """Else the owner of a folder could have the mode of a file of another changed."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    (data / "store").symlink_to(elsewhere)
    make_private(data)
    assert mode(elsewhere) == 0o755


def test_a_private_file_is_whole_and_closed_from_the_beginning(tmp_path):
    write_private(tmp_path / "new" / "file", "one", replace=False)
    assert mode(tmp_path / "new") == 0o700
    assert mode(tmp_path / "new" / "file") == 0o600
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "new" / "file", "two", replace=False)
    write_private(tmp_path / "new" / "file", "three", replace=True)
    assert (tmp_path / "new" / "file").read_text() == "three"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot sync a folder")
def test_a_private_file_and_a_data_folder_keep_their_names_through_a_power_cut(tmp_path, syncs):
    """Otherwise a revoked key might come back."""
    write_private(tmp_path / "new" / "file", "one", replace=True)
    assert all(map(syncs.of, [tmp_path, tmp_path / "new", tmp_path / "new" / "file"]))
    syncs.clear()
    make_private(tmp_path / "data")
    assert all(map(syncs.of, [tmp_path, tmp_path / "data"]))
