"""A Python that has openai-whisper, in a folder of its own: the reference engine brings PyTorch, which nothing else needs.

    python bench/reference_engine.py

makes it in `.cache/reference` (2 GB, some minutes; `pip` decides which build of PyTorch it gets) and prints its path. It
sees this checkout and its packages too, so that our own child can run in it.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".cache" / "reference"


def find() -> Path | None:
    """A Python with openai-whisper: this one, or the one that `make` has made; None where there is none."""
    if importlib.util.find_spec("whisper") is not None and importlib.util.find_spec("torch") is not None:
        return Path(sys.executable)
    python = FOLDER / "bin" / "python"
    return python if python.exists() and (FOLDER / "ready").exists() else None


def make() -> Path:
    """The Python of `find`, made first where there is none."""
    if (found := find()) is not None:
        return found
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["openai-whisper"]
    print(f"Installing {', '.join(extra)} into {FOLDER}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    python = FOLDER / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    subprocess.run([str(python), "-m", "pip", "install", *quiet, *extra], check=True)
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([str(python), "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
    # with its .pth files, so that our own package is found the way it is found here
    ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (Path(site) / "vignette.pth").write_text(ours)
    (FOLDER / "ready").touch()
    return python


if __name__ == "__main__":
    print(make())
