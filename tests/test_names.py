"""One word, one meaning: a reader who knows a public class by its name knows which one is meant."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_two_files_define_a_public_class_of_the_same_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for file in sorted((ROOT / "bankrmi").rglob("*.py")):
        for name in re.findall(r"^class ([A-Za-z]\w*)", file.read_text(), re.MULTILINE):
            homes[name].append(str(file.relative_to(ROOT)))
    assert "BankClient" in homes
    shared = {name: files for name, files in homes.items() if len(files) > 1}
    assert not shared, "give all but one a name of its own:\n" + "\n".join(
        f"{name}: {', '.join(files)}" for name, files in sorted(shared.items())
    )
