"""`make` and its environment: made once, completed, made anew where it cannot work."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PYTHON = """\
#!/bin/sh
# What `make` asks of a Python, noted beside it.
echo "$*" >> "$NOTES"
case "$*" in
  "-m venv "*)
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    echo "command = $0 -m venv $PWD/$3" > "$3/pyvenv.cfg" ;;
esac
"""


class Clone:
    """A clone in which nothing is installed in earnest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("Makefile", "setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)

    def make(self) -> str:
        """Run `make up`; return what it says."""
        python = self.folder.parent / "python"
        python.write_text(PYTHON)
        python.chmod(0o755)
        notes = self.folder.parent / "notes"
        ended = subprocess.run(
            ["make", "up", f"PYTHON={python}"],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "NOTES": str(notes)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert notes.read_text().splitlines()[-1].strip() == "-m bankrmi up"
        return ended.stderr

    @property
    def python(self) -> Path:
        return self.folder / ".venv" / "bin" / "python"


@pytest.fixture(params=["a clone", """it's "a" $(clone)"""], ids=["spaces", "quotes"])
def clone(tmp_path: Path, request: pytest.FixtureRequest) -> Clone:
    return Clone(tmp_path / request.param)


def test_an_environment_is_made_once(clone: Clone) -> None:
    said = clone.make()
    assert "creating .venv" in said
    assert "made anew" not in said
    # Else a script in the folder above a clone called bankrmi finds that folder, and not the package in it.
    installing = (clone.folder.parent / "notes").read_text().splitlines()[-2]
    assert "--config-settings editable_mode=compat --editable" in installing
    assert clone.make() == ""


def test_what_the_install_depends_on_has_it_completed_and_not_made_anew(clone: Clone) -> None:
    clone.make()
    kept = clone.folder / ".venv" / "kept"
    kept.touch()
    stamp = clone.folder / ".venv" / ".installed"
    stamp.unlink()
    assert clone.make().startswith("installing bankrmi")
    assert kept.exists()


@pytest.mark.parametrize("fault", ["moved", "copied", "does not start", "dangles", "lost its packages"])
def test_an_environment_that_cannot_work_is_made_anew(clone: Clone, tmp_path: Path, fault: str) -> None:
    clone.make()
    match fault:
        case "moved":
            clone.folder = clone.folder.rename(tmp_path / "moved")
        case "copied":
            clone.folder = Path(shutil.copytree(clone.folder, tmp_path / "copied"))
        case "does not start":
            clone.python.write_text("#!/no/such/interpreter\n")
        case "dangles":
            clone.python.unlink()
            clone.python.symlink_to("/no/such/python")
        case "lost its packages":
            clone.python.write_text('#!/bin/sh\n[ "$1" != -I ]\n')
    said = clone.make()
    assert said.startswith(".venv is broken, or was made in another folder: it is made anew\ncreating .venv")
    assert clone.make() == ""
