"""A hook of mkdocs: the site has copies of the files outside docs/ that its pages link to, and the links lead there."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
COPIES = "repository"  # the folder of the site
ALWAYS = ("CHANGELOG.md", "CONTRIBUTING.md")  # of the navigation
OUTWARD = re.compile(r"\]\(\.\./([^)#]+)")  # a link of a page in docs/ to a file of the repository


def on_files(files: Files, config: MkDocsConfig) -> Files:
    linked = {path for page in Path(config.docs_dir).glob("*.md") for path in OUTWARD.findall(page.read_text("utf-8"))}
    for path in sorted(linked.union(ALWAYS)):
        inclusion = InclusionLevel.INCLUDED if path in ALWAYS else InclusionLevel.NOT_IN_NAV
        source = str(ROOT / path)
        files.append(File.generated(config, f"{COPIES}/{path}", abs_src_path=source, inclusion=inclusion))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    if page.file.src_uri.startswith(f"{COPIES}/"):
        return re.sub(r"\[([^\]]+)\]\((?!https?://)[^)]*\)", r"\1", markdown)  # links among them lead nowhere here
    return OUTWARD.sub(rf"]({COPIES}/\1", markdown)
