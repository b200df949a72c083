"""The page's modules as one script: every one of ours can be bundled, and what could not be is refused."""

from __future__ import annotations

from importlib.resources import files

import pytest

from bankrmi.console.bundle import bundle

MODULES = {
    path.name: path.read_text()
    for path in files("bankrmi.console").joinpath("page").iterdir()
    if path.name.endswith(".js")
}


@pytest.mark.parametrize("entry", sorted(MODULES))
def test_every_module_of_the_page_can_be_bundled(entry: str) -> None:
    script = bundle(entry, MODULES)
    assert "import " not in "\n".join(line for line in script.splitlines() if line.startswith("import"))
    assert script.count("(() => {") >= 2


def test_a_module_comes_after_those_that_it_imports_and_once() -> None:
    script = bundle(
        "a.js",
        {
            "a.js": 'import {b, c as d} from "./b.js";\nimport {e} from "./e.js";\nb(d, e);',
            "b.js": 'import {e} from "./e.js";\nexport const b = () => e;\nexport function c() {}\n',
            "e.js": "export class e {}",
        },
    )
    assert script.index("$e = ") < script.index("$b = ") < script.index("$a = ")
    assert script.count("class e {}") == 1
    assert "const {b, c: d} = $b;" in script
    assert "return {b, c};" in script


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('import {x} from "https://elsewhere.example/x.js";', "cannot be bundled"),
        ('import x from "./b.js";', "cannot be bundled"),
        ('import "./b.js";', "cannot be bundled"),
        ('const late = await import("./b.js");', "cannot be bundled"),
        ("export default 1;", "cannot be bundled"),
        ("export {x};", "cannot be bundled"),
        ('const end = "</script>";', "cannot be bundled"),
        ('const hidden = "<!-- no -->";', "cannot be bundled"),
        ('import {x} from "./nowhere.js";', "nowhere.js, which is not there"),
        ('import {x} from "./b.js";', "imports x, which b.js does not export"),
        ('import {b} from "./b.js";', "in a circle"),
    ],
)
def test_what_cannot_be_bundled_is_refused(source: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bundle(
            "a.js",
            {
                "a.js": source,
                "b.js": 'import {a} from "./a.js";\nexport const b = 1;'
                if "circle" in said
                else "export const b = 1, c = 2;",
            },
        )
