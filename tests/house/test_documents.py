"""What a newcomer reads is true of the files, and a checkout stays small."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from tests.support.commands import refusal_of
from tools import rig_reference
from xdistill_ros import graph

from .conftest import ROOT, project_files

PAGES = [path for path in project_files() if path.suffix == ".md"]
LARGEST_CHECKOUT_MB = 60


def targets(page: Path) -> list[str]:
    """What a page links to or shows, without anchors and what lies on the web."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href|srcset)="([^"]+)"', text)
    return [link.split("#")[0] for link in links if not re.match(r"https?:|mailto:|#", link)]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    gone = [link for link in targets(page) if not (ROOT / page.parent / link).exists()]
    assert gone == []


def test_the_readme_opens_with_a_picture_and_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"!\[[^\]]+\]\([^)]+\)|<img ", text[:1500])
    assert "make demo" in text
    assert "make test" in text


def test_every_make_target_in_the_pages_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"`make ([a-z]+)", (ROOT / page).read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page}: make {target}"


def test_every_page_is_reachable_from_the_readme() -> None:
    seen: set[Path] = set()
    queue = [Path("README.md")]
    while queue:
        page = queue.pop()
        if page in seen:
            continue
        seen.add(page)
        queue += [(ROOT / page.parent / link).resolve().relative_to(ROOT) for link in targets(page)
                  if link.endswith(".md")]  # fmt: skip
    assert {page for page in PAGES if page.parts[0] == "docs"} <= seen


def test_the_rig_reference_has_every_field_as_the_schema_has_it() -> None:
    written = (ROOT / "docs" / "rig.md").read_text(encoding="utf-8")
    assert written == rig_reference.page(), "run: python tools/rig_reference.py"


def test_a_checkout_is_small() -> None:
    size = sum((ROOT / path).lstat().st_size for path in project_files())
    assert size < LARGEST_CHECKOUT_MB * 1e6


def test_every_benchmark_is_described() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in (ROOT / "benchmarks").glob("*.py") if f"`{path.name}`" not in text] == []


def blocks(page: Path) -> list[str]:
    """The lines of a page's code blocks, continued lines joined, without comments."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fenced = "\n".join(re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL))
    indented = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    joined = re.sub(r"\\\n\s*", " ", f"{fenced}\n{indented}")
    return [re.sub(r"\s+#.*", "", line).strip() for line in joined.splitlines()]


def test_every_command_of_ours_in_the_pages_is_one_that_there_is() -> None:
    wrong = []
    for page in PAGES:
        for line in blocks(page):
            found = re.match(r"(?:\S*/)?(xdistill .*)", line)
            if found is None:
                continue
            words = shlex.split(found[1].partition(" > ")[0].replace("...", ""))
            refusal = refusal_of(words)
            if refusal and "does not exist" not in refusal:  # of a file of the reader's own
                wrong.append(f"{page}: {line}: {refusal}")
    assert wrong == []


def test_every_launch_file_in_the_pages_exists_and_knows_its_arguments() -> None:
    known = {field.name for field in dataclasses.fields(graph.Options)}
    for page in PAGES:
        for name, arguments in re.findall(
            r"launch xdistill_ros (\w+\.launch\.py)([^`\n#]*)", (ROOT / page).read_text()
        ):
            assert (ROOT / "launch" / name).is_file(), f"{page}: {name}"
            assert set(re.findall(r"(\w+):=", arguments)) <= known, f"{page}: {name}{arguments}"
