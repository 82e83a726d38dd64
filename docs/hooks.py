"""What the site's build adds to the pages of docs/: documents that lie elsewhere, and the help of the commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "index.md": ROOT / "README.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "changelog.md": ROOT / "CHANGELOG.md",
    "security.md": ROOT / "SECURITY.md",
    "measurements.md": ROOT / "bench" / "README.md",
}
"""Pages of the site whose text lies outside docs/."""
COMMANDS = "<!-- the help of every command -->"
"""What stands in a page where the help of the commands goes."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add :data:`PAGES`."""
    # Tests read the list of pages where mkdocs may not be installed.
    from mkdocs.structure.files import File

    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=links_in_site(source.read_text(), source.parent)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where :data:`PAGES` are in the site, and put the help of every command where it belongs."""
    if page.file.src_uri not in PAGES:
        markdown = links_in_site(markdown, ROOT / "docs")
    return markdown.replace(COMMANDS, commands()) if COMMANDS in markdown else markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show references of docstrings such as ``:func:`segment``` as code, without the role."""
    return re.sub(r":(?:attr|class|data|func|meth|mod):<code>~?", "<code>", html)


def links_in_site(text: str, folder: Path) -> str:
    """Return the text of a document that lies in ``folder``, with its links as the pages of the site have them."""
    pages = {path: name for name, path in PAGES.items()}

    def moved(match: re.Match[str]) -> str:
        path, hash_sign, anchor = match[1].partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        target = (folder / path).resolve()
        name = pages.get(target) or target.relative_to(ROOT / "docs").as_posix()
        return f"]({name}{hash_sign}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", moved, text)


def commands() -> str:
    """Return a section for every command of `backend`, with its help."""
    from typer.testing import CliRunner

    from backend.cli import app

    runner = CliRunner(env={"COLUMNS": "100", "TERMINAL_WIDTH": "100"})
    parts = []
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        shown = runner.invoke(app, [name, "--help"], prog_name="backend", catch_exceptions=False).output
        parts.append(f"## backend {name}\n\n```text\n{shown.strip()}\n```\n")
    return "\n".join(parts)
