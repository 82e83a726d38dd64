# Blender's modules come without types; this says so to the type checker.
from typing import Any

def __getattr__(name: str) -> Any: ...
