"""JSON with more values than a file can have is noticed without parsing it."""

from __future__ import annotations

from protocol.json_limits import Most


def test_each_kind_of_value_has_its_limit():
    most = Most(objects=2, fields=3, values=8)
    assert most.allows(b'{"a":[1,2,3],"b":{"c":4}}')
    assert not most.allows(b"[{},{},{}]")
    assert not most.allows(b'{"a":1,"b":2,"c":3,"d":4}')
    assert not most.allows(b"[1,2,3,4,5,6,7,8,9]")
    assert not most.allows(b"[[[[[[[[[")


def test_limits_of_rows_leave_room_for_what_is_around_them():
    most = Most.of_rows(100_000, fields=2, values=6)
    rows = b",".join([b'{"id":1,"at":[1,2]}'] * 100_000)
    assert most.allows(b'{"format":1,"rows":[' + rows + b"]}")
    assert not most.allows(b'{"format":1,"rows":[' + b",".join([rows, rows]) + b"]}")
