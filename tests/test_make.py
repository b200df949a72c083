"""`make` and its environment: made once, completed, made anew where it cannot work."""

from __future__ import annotations

import re
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

    def notes(self) -> list[str]:
        """Return what Python was asked, line by line."""
        return [line.strip() for line in (self.folder.parent / "notes").read_text().splitlines()]

    def make(self, target: str = "up", asks: str = "-m bankrmi up") -> str:
        """Run `make`, which asks Python for something in the end; return what it says."""
        python = self.folder.parent / "python"
        python.write_text(PYTHON)
        python.chmod(0o755)
        ended = subprocess.run(
            ["make", target, f"PYTHON={python}"],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "NOTES": str(self.folder.parent / "notes")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert self.notes()[-1] == asks
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
    installing = clone.notes()[-2]
    assert "--config-settings editable_mode=compat --editable" in installing
    assert clone.make() == ""


def test_a_bank_does_not_wait_for_what_only_work_on_it_needs(clone: Clone) -> None:
    clone.make()
    assert clone.notes()[-2].endswith("--editable .[console]")
    asks = "-m pytest -n 6 --dist worksteal"
    assert clone.make("test", asks).startswith("installing what tests, checks and pages need into .venv")
    assert clone.notes()[-2].endswith("--editable .[console,test,check,docs]")
    assert clone.make("test", asks) == ""
    assert clone.make() == ""
    clone.python.write_text('#!/bin/sh\n[ "$3" != "import pytest" ]\n')
    assert clone.make("test", asks).startswith(".venv is broken"), "it has lost what tests need"


def test_help_lists_every_target_and_a_hook_runs_every_check() -> None:
    text = (ROOT / "Makefile").read_text()
    [targets] = re.findall(r"^\.PHONY: (help .*)$", text, re.MULTILINE)
    command = ["make", "--no-print-directory", "help"]  # Which `make test` has a make below it say.
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[1] for line in ended.stdout.splitlines()] == targets.split()
    [checks] = re.findall(r"^check: ([a-z ]*) ## ", text, re.MULTILINE)
    hooks = re.findall(
        r"entry: make --no-print-directory ([a-z]+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.M
    )
    assert hooks == checks.split()


def test_every_python_that_is_found_is_one_of_the_version_that_is_said() -> None:
    found = subprocess.run(
        [ROOT / ".ci/pythons"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert found, "the one that runs this is there, at least"
    for line in found:
        version, _, python = line.partition(" ")
        asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == version
    minors = [int(line.split()[0].partition(".")[2]) for line in found]
    assert minors == sorted(set(minors))
    assert minors[0] >= 11


def test_what_is_said_to_be_tried_is_what_is_tried() -> None:
    """Classifiers, CONTRIBUTING.md and the workflow name the same versions of Python."""
    classifiers = re.findall(r"Python :: (3\.\d+)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    [said] = re.findall(r"(3\.11, .*) are tried", (ROOT / "CONTRIBUTING.md").read_text())
    [matrix] = re.findall(r"python: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text())
    assert re.findall(r"3\.\d+", said) == re.findall(r"3\.\d+", matrix) == classifiers


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
