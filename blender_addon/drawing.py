"""What panels, menus and dialogs have in common for the type checker."""

from typing import TYPE_CHECKING, Any


class Draws:
    """Base of panels, menus and operators with a ``draw``. Comes before Blender's class in the list of bases."""

    if TYPE_CHECKING:

        @property
        def layout(self) -> Any:
            """The layout to draw in; never None while drawing, although Blender's type says that it may be."""
