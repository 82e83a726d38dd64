"""Every sentence that people see is in the review file."""

from __future__ import annotations

from tests import sentences


def test_the_review_file_is_up_to_date() -> None:
    assert sentences.REVIEW.read_text() == sentences.page(sentences.collect()), f"renew it with: {sentences.COMMAND}"


def test_texts_are_collected_whole() -> None:
    source = '''
"""A docstring."""

class SPLATLIFT_OT_wait(Operator):
    """Wait for the server"""

    bl_idname = "splatlift.wait"
    bl_label = "Wait"
    address: StringProperty(name="Address", description="Host " "and port")

KINDS = (("A", "First", "The first one"),)

@app.command()
def serve():
    """Serve."""

def read(path, count):
    """Another docstring."""
    database.execute("SELECT name FROM jobs")
    said = f"{path.name} has {count:,} {'row' if count == 1 else 'rows'} of {len(rows)}: " + why(count, "too many rows")
    raise BadSplats(said, "Copy it again.")
'''
    assert sentences.sentences(source) == [
        "Wait for the server",
        "Wait",
        "Address",
        "Host and port",
        "First: The first one",
        "Serve.",
        "{name} has {count} {row|rows} of {rows}: {why}",
        "too many rows",
        "Copy it again.",
    ]
