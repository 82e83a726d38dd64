"""Collect every sentence that people see, for review in one file: `python -m tests.sentences` writes docs/sentences.md.

The sentences are found in the syntax trees of the three packages: every text of two words or more that is not a
docstring, a query or a format, the labels of Blender and of the command line, and those docstrings that are shown as
tooltips and help.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("backend", "blender_addon", "protocol")
REVIEW = ROOT / "docs" / "sentences.md"
COMMAND = "python -m tests.sentences"
LABELS = {"text", "name", "title", "help", "description", "bl_label", "bl_description"}
"""Arguments and attributes whose text is shown even where it is a single word."""
ENUM_ITEM = 3
"""Length of an item of a Blender enumeration: identifier, name, description."""
TRANSPARENT = ("abs", "float", "int", "join", "len", "max", "min", "repr", "sorted", "str", "sum")
"""Functions whose argument says more about a text than their name."""
CODE = re.compile(
    r"""SELECT\ |INSERT\ |DELETE\ FROM|UPDATE\ |CREATE\ |PRAGMA|ALTER\ TABLE|BEGIN\ |^(?:ORDER|WHERE)\ # SQL
        |^<[=>]|^[\w.]+\(.*\)$|[;{]\n|^[a-z]:|-----|^\(                                       # formats, C, patterns
        |^(?:element|property|format|ply|end_header)\b|\\[Sw]|PINHOLE|^void\ |^\w+\|\w+|^\{x\}|\{i\}\.png        # data
    """,
    re.VERBOSE,
)
"""Marks of a text that is read by programs."""
HEADER = f"""# Sentences

Every sentence that the programs show, by module, for review. Texts in braces are filled in at run time; `{{a|b}}` is
one of the two. Made by `{COMMAND}`; change the sentences in the code, not here.
"""


def text_of(node: ast.AST) -> str | None:
    """Return the text of an expression, with names in braces for inserted values, or None if it is not a text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else _placeholder(part.value)  # type: ignore[attr-defined]
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = text_of(node.left), text_of(node.right)
        if left is not None or right is not None:
            return (left or _placeholder(node.left)) + (right or _placeholder(node.right))
    return None


def _placeholder(node: ast.AST) -> str:
    if isinstance(node, ast.IfExp):
        texts = [text_of(each) for each in (node.body, node.orelse)]
        return "{" + "|".join("" if text is None else text for text in texts) + "}"
    while not isinstance(node, (ast.Attribute, ast.Name, ast.Constant)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            node = node.args[0] if node.args and name in TRANSPARENT else node.func
        elif isinstance(node, (ast.Subscript, ast.Starred)):
            node = node.value
        elif isinstance(node, ast.BinOp):
            node = node.right if isinstance(node.left, ast.Constant) else node.left
        elif isinstance(node, (ast.GeneratorExp, ast.ListComp)):
            node = node.generators[0].iter
        else:
            return "{...}"
    return "{" + (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "...")) + "}"


def sentences(source: str) -> list[str]:
    """Return what one module shows, in the order of its source, each text once."""
    tree = ast.parse(source)
    return list(dict.fromkeys(" ".join(text.split()) for text in _texts(tree)))


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and _shows_its_docstring(node):
            yield ast.get_docstring(node) or ""
        if isinstance(node, (ast.keyword, ast.Assign)) and _names(node) & LABELS and text_of(node.value) is not None:
            yield from _label(node.value)
        elif isinstance(node, ast.Tuple) and _is_enum_item(node):
            yield ": ".join(filter(None, map(text_of, node.elts[1:])))
        elif (text := text_of(node)) is not None:
            if _is_prose(text):
                yield text
            yield from _texts_within(node)
        else:
            yield from _texts(node)


def _texts_within(node: ast.AST) -> Iterator[str]:
    """Yield the texts inside what is filled into a text; those of a condition are part of the text already."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.FormattedValue):
            if not isinstance(part.value, ast.IfExp):
                yield from _texts(part)
        elif text_of(part) is not None:
            yield from _texts_within(part)
        else:
            yield from _texts(part)


def _shows_its_docstring(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Whether the docstring of a class or function is shown: operators and menus of Blender, commands."""
    if isinstance(node, ast.FunctionDef):
        return any("command" in ast.unparse(each) for each in node.decorator_list)
    own = {name for line in node.body if isinstance(line, ast.Assign) for name in _names(line)}
    return "bl_idname" in own or ("bl_label" in own and "bl_description" not in own)


def _names(node: ast.keyword | ast.Assign) -> set[str]:
    if isinstance(node, ast.keyword):
        return {node.arg or ""}
    return {each.id for each in node.targets if isinstance(each, ast.Name)}


def _label(node: ast.AST) -> Iterator[str]:
    text = text_of(node)
    if text and re.search(r"[A-Za-z]{2}", text) and not re.fullmatch(r"[a-z_.:]+", text):
        yield text


def _is_enum_item(node: ast.Tuple) -> bool:
    texts = [text_of(each) for each in node.elts[:ENUM_ITEM]]
    return len(texts) == ENUM_ITEM and all(texts) and str(texts[0]).isupper() and not str(texts[1]).isupper()


def _is_prose(text: str) -> bool:
    return re.search(r"[A-Za-z,:}] [A-Za-z{(]", text) is not None and CODE.search(text.strip()) is None


def collect() -> dict[str, list[str]]:
    """Return the sentences of every module that shows any, by its path."""
    found = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if shown := sentences(file.read_text()):
                found[file.relative_to(ROOT).as_posix()] = shown
    return found


def page(found: dict[str, list[str]]) -> str:
    """Return the review file."""
    groups = (f"\n## {module}\n\n" + "".join(f"    {line}\n" for line in lines) for module, lines in found.items())
    return HEADER + "".join(groups)


if __name__ == "__main__":
    REVIEW.write_text(page(collect()))
