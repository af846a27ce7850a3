# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation as web pages: the guides in docs/, and the reference of every role, module and plugin.

    tests/docs_site.py            builds .lab/docs/html; a warning, such as a link that leads nowhere, is a failure, and
                                  so is a page that sends readers to Galaxy, where this collection is not published

Nothing is fetched. The reference comes from the argument_specs and the documentation in the code (antsibull-docs), the
list of playbooks from the first lines of each.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
SITE = CHECKOUT / ".lab/docs"
SOURCE = SITE / "source"
REFERENCE = "collections/greenlab/cluster"
# Pages of the collection that are not in docs/.
OTHERS = {"README.md": "start", "CHANGELOG.md": "changes"}

CONF = """
project = "greenlab.cluster"
extensions = ["myst_parser", "sphinx_antsibull_ext"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Clusters that measure software",
    "fixed_sidebar": True,
    "page_width": "1200px",
    "sidebar_width": "260px",
}
html_show_copyright = False
pygments_style = "ansible"
highlight_language = "none"
default_role = "any"
nitpicky = True
myst_heading_anchors = 3
# Headings begin below the page's own in generated pages.
suppress_warnings = ["myst.header"]
# Pages of Ansible's own documentation, which is not here: their names are shown without a link.
ANSIBLE = {ansible!r}


def leave_as_text(app, env, node, contnode):
    return contnode if node["reftarget"] in ANSIBLE else None


def setup(app):
    app.connect("missing-reference", leave_as_text)
"""
ANSIBLE = [
    "action_plugins",
    "ansible_configuration_settings",
    "common_return_values",
    *(f"ANSIBLE_CACHE_PLUGIN{name}" for name in ("", "_CONNECTION", "_PREFIX", "_TIMEOUT")),
]


# What antsibull-docs writes on each page of a plugin or role and has no option against, up to how to use it.
INSTALL_NOTE = re.compile(
    r"    This .* is part of the `greenlab\.cluster collection(?s:.*?)(?=    (?:You need|To use it))"
)
GALAXY = re.compile(r"galaxy\.ansible\.com|ansible-galaxy collection install greenlab\.cluster")


def without_galaxy(text: str) -> str:
    """Return a page of the reference without the note on how to install it, and without the mark of no account."""
    return INSTALL_NOTE.sub("", text).replace(" (!UNKNOWN)", "")


def leads_to_galaxy(page: str) -> bool:
    """Tell whether a web page has a link to Galaxy, or the command that installs from there."""
    return bool(GALAXY.search(page) or GALAXY.search(re.sub(r"<[^>]*>", "", page)))


def page_of(target: str, folder: Path) -> str | None:
    """Return where a link of a page in `folder` leads in the site; None if to a file that is no page of it."""
    path = (folder / target).resolve()
    if not path.exists():
        sys.exit(f"A page in {folder.relative_to(CHECKOUT) or '.'} links to {target}, which is not there.")
    name = path.relative_to(CHECKOUT).as_posix()
    if role := re.fullmatch(r"roles/(\w+)(/.*)?", name):
        return f"{REFERENCE}/{role[1]}_role.rst"
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    return f"{OTHERS[name]}.md" if name in OTHERS else None


def with_links_of_the_site(text: str, folder: Path) -> str:
    """Let links lead to pages of the site; those to other files of the repository become plain text."""

    def translate(link: re.Match[str]) -> str:
        words, target, anchor = link.groups()
        if re.match(r"\w+:", target) or not target:
            return link[0]
        page = page_of(target, folder)
        return f"[{words}]({page}{anchor or ''})" if page else words

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)#\s]*)(#[^)\s]*)?\)", translate, text)


def playbooks() -> str:
    """Return a page with what each playbook says of itself."""
    rows = []
    for path in sorted((CHECKOUT / "playbooks").glob("*.yml")):
        head = path.read_text(encoding="utf8").split("\n\n", 1)[0]
        said = " ".join(line.removeprefix("#").strip() for line in head.splitlines() if line.startswith("#"))
        rows.append(f"`greenlab.cluster.{path.stem}`\n: {said}\n")
    return "# Playbooks\n\n" + "\n".join(rows)


def table_of_contents() -> str:
    """Return what makes the menu: the pages in the order of docs/index.md, then what is generated."""
    linked = re.findall(r"\]\(([\w.]+\.md)\)", (CHECKOUT / "docs/index.md").read_text(encoding="utf8"))
    pages = ["start.md", *dict.fromkeys(linked), "playbooks.md", "collections/index.rst", "changes.md"]
    return "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def write_source() -> None:
    """Lay guides and reference side by side."""
    shutil.rmtree(SITE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    SOURCE.chmod(0o755)  # antsibull-docs refuses a folder that others may write
    (SOURCE / "conf.py").write_text(CONF.replace("{ansible!r}", repr(ANSIBLE)), encoding="utf8")
    options = ["--use-current", "--fail-on-error", f"--dest-dir={SOURCE}"]
    collections = {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".lab/collections")}
    environment = {**os.environ, **collections, "PATH": f"{BIN}:{os.environ['PATH']}"}
    subprocess.run(["antsibull-docs", "collection", *options, "greenlab.cluster"], env=environment, check=True)
    for path in SOURCE.rglob("*.rst"):
        path.write_text(without_galaxy(path.read_text(encoding="utf8")), encoding="utf8")
    for path in (CHECKOUT / "docs").iterdir():
        if path.suffix == ".md":
            text = with_links_of_the_site(path.read_text(encoding="utf8"), path.parent)
            (SOURCE / path.name).write_text(text, encoding="utf8")
        else:
            shutil.copy(path, SOURCE)
    for name, page in OTHERS.items():
        text = with_links_of_the_site((CHECKOUT / name).read_text(encoding="utf8"), CHECKOUT)
        (SOURCE / f"{page}.md").write_text(text, encoding="utf8")
    (SOURCE / "playbooks.md").write_text(playbooks(), encoding="utf8")
    index = SOURCE / "index.md"
    index.write_text(index.read_text(encoding="utf8") + table_of_contents(), encoding="utf8")


def main() -> None:
    """Build, and let every warning be an error."""
    write_source()
    options = ["--builder=html", "--fail-on-warning", "--quiet", "--jobs=2"]
    if status := subprocess.run([BIN / "sphinx-build", *options, SOURCE, SITE / "html"], check=False).returncode:
        sys.exit(status)
    pages = list((SITE / "html").rglob("*.html"))
    if wrong := [str(page.relative_to(SITE)) for page in pages if leads_to_galaxy(page.read_text(encoding="utf8"))]:
        sys.exit(f"This collection is not on Galaxy, yet these pages send readers there: {', '.join(wrong)}")
    print(f"{len(pages)} pages in {(SITE / 'html').relative_to(CHECKOUT)}")


if __name__ == "__main__":
    main()
