"""The dossier in a browser: it asks for nothing, nothing sticks out of the page, and it prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.decision.desk import desk_material

from tunesmith.decision.dossier import render

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: install the package chromium"),
]


def browse(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=2000", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


MEASURED = """<script>addEventListener("load", () => {
  const wide = document.scrollingElement.scrollWidth - innerWidth;
  const asked = performance.getEntriesByType("resource").length;
  document.title = `wide ${wide} asked ${asked} plots ${document.querySelectorAll("svg").length}`;
})</script>"""


A4 = 673
"""Pixels between the margins of the printed page."""


@pytest.mark.parametrize(("width", "paper"), [(390, False), (1280, False), (A4, True)])
def test_nothing_sticks_out_and_nothing_is_asked_for(tmp_path, width, paper):
    html = render(desk_material())
    if paper:
        assert "@media print" in html
        html = html.replace("@media print", "@media all")
    # the page forbids scripts; the one that measures it is let in here alone
    open_page = html.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    assert open_page != html
    page = tmp_path / "dossier.html"
    page.write_text(open_page.replace("</body>", f"{MEASURED}</body>"), encoding="utf-8")
    ran = browse(tmp_path, f"--window-size={max(width, 500)},900", "--dump-dom", page.as_uri())
    title = ran.stdout.split("<title>")[1].split("</title>")[0]
    words = title.split()
    assert (words[0], words[2], words[4]) == ("wide", "asked", "plots"), ran.stderr[-500:]
    assert int(words[1]) <= 0
    assert int(words[3]) == 0
    assert int(words[5]) > 0


def test_it_prints_with_the_first_page_for_itself(tmp_path):
    page, printed = tmp_path / "dossier.html", tmp_path / "dossier.pdf"
    page.write_text(render(desk_material()), encoding="utf-8")
    browse(tmp_path, f"--print-to-pdf={printed}", "--no-pdf-header-footer", page.as_uri())
    assert printed.read_bytes().startswith(b"%PDF")
    assert 20_000 < printed.stat().st_size < 5_000_000
    pages = len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes()))
    page.write_text(render(desk_material()).replace("break-before: page", "break-before: auto"), encoding="utf-8")
    browse(tmp_path, f"--print-to-pdf={printed}", "--no-pdf-header-footer", page.as_uri())
    assert 8 <= len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes())) < pages
