"""Renew app/web/static/vendor: python .ci/vendor.py (needs `npm` on the PATH; installing and testing do not).

Takes the pinned packages from npm, keeps the few files that pages use, takes out whatever would load from another
origin, and writes lock.json with the SHA-256 of every file as it is kept.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).resolve().parents[1] / "app" / "web" / "static" / "vendor"

MIT_NOTICE = """{name} {version}
Released under the MIT Licence by its authors; the package carries this statement in its README:

{statement}
"""


@dataclass(frozen=True)
class Kept:
    """One file taken from a package. `change` says in words what `edit` does to it."""

    source: str
    target: str
    edit: Callable[[str], str] | None = None
    change: str = ""


@dataclass(frozen=True)
class Package:
    """One pinned npm package."""

    name: str
    version: str
    licence: str
    files: tuple[Kept, ...]


def without_map(text: str) -> str:
    """Source maps are not shipped, so a reference to one would be a 404 in every developer console."""
    return re.sub(r"\n?(//# sourceMappingURL=\S+|/\*# sourceMappingURL=[^*]*\*/)\s*$", "\n", text)


def plain_css(text: str) -> str:
    """No Frutiger (licensed to NHS bodies only, and loaded off-origin); icons beside the style sheet."""
    text = re.sub(r"@font-face\s*\{[^}]*\}", "", text)
    text = re.sub(r"[\"']?Frutiger W01[\"']?\s*,\s*", "", text)
    return without_map(text.replace("/assets/images/", "images/"))


def licence_statement(readme: str) -> str:
    """The licence section of the package's README, because the package has no licence file of its own."""
    found = re.search(r"^## Licence\n+(.+?)(?=^## |\Z)", readme, flags=re.S | re.M)
    if found is None:
        raise SystemExit("The README of nhsuk-frontend no longer states its licence: look at it.")
    return MIT_NOTICE.format(name="nhsuk-frontend", version="10.6.1", statement=found.group(1).strip())


ICONS = ("arrow-down", "arrow-up-down", "arrow-up", "cross")

PACKAGES = (
    Package(
        "nhsuk-frontend",
        "10.6.1",
        "MIT",
        (
            Kept(
                "dist/nhsuk/nhsuk-frontend.min.css",
                "nhsuk/nhsuk-frontend.css",
                plain_css,
                "@font-face and the font's name taken out, icon addresses made relative",
            ),
            Kept(
                "dist/nhsuk/nhsuk-frontend.min.js", "nhsuk/nhsuk-frontend.js", without_map, "source map line taken out"
            ),
            Kept("README.md", "nhsuk/LICENCE.txt", licence_statement, "the licence section of the README"),
            *(
                Kept(f"dist/nhsuk/assets/images/nhsuk-icon-{icon}.svg", f"nhsuk/images/nhsuk-icon-{icon}.svg")
                for icon in ICONS
            ),
        ),
    ),
    Package(
        "hls.js",
        "1.7.4",
        "Apache-2.0",
        (
            Kept("dist/hls.min.mjs", "hls/hls.js", without_map, "source map line taken out"),
            Kept("LICENSE", "hls/LICENCE.txt"),
        ),
    ),
)


def fetch(package: Package, folder: Path) -> tuple[Path, str]:
    """Download one package; its unpacked folder and npm's own integrity string."""
    spec = f"{package.name}@{package.version}"
    done = subprocess.run(
        ["npm", "pack", "--json", "--pack-destination", str(folder), spec], check=True, capture_output=True, text=True
    )
    entry = json.loads(done.stdout)[0]
    unpacked = folder / package.name
    with tarfile.open(folder / entry["filename"]) as archive:
        archive.extractall(unpacked, filter="data")
    return unpacked / "package", entry["integrity"]


def main() -> None:
    """Replace every vendored file and the lock."""
    lock = []
    with tempfile.TemporaryDirectory() as temporary:
        for package in PACKAGES:
            root, integrity = fetch(package, Path(temporary))
            files = []
            for kept in package.files:
                content = (root / kept.source).read_bytes()
                if kept.edit is not None:
                    content = kept.edit(content.decode()).encode()
                target = VENDOR / kept.target
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                entry = {"path": kept.target, "from": kept.source, "sha256": hashlib.sha256(content).hexdigest()}
                files.append(entry | ({"change": kept.change} if kept.change else {}))
            lock.append(
                {
                    "name": package.name,
                    "version": package.version,
                    "licence": package.licence,
                    "source": f"npm:{package.name}@{package.version}",
                    "integrity": integrity,
                    "files": files,
                }
            )
    (VENDOR / "lock.json").write_text(json.dumps({"packages": lock}, indent=2) + "\n")


if __name__ == "__main__":
    main()
