"""`bankrmi chaos` of services whose classes name the ones before: real servers begin with these, and get
newer code one after the other, while they are broken; each service is migrated once, and what calls across
them came to is held against the plain classes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bankrmi.cli.main import main
from bankrmi.robustness.services.named_releases import named_releases, why_not_older
from bankrmi.service.loading import load_services
from tests import warm
from tests.pages import ROOT
from tests.testing.changed import stock_1
from tests.testing.changed_shop import PlainShop

SERVES = {"stock": "tests.testing.changed.stock:Stock", "orders": "tests.testing.changed.orders:Orders"}
CONFIGURATION = "\n".join(
    [
        "serves:",
        *(f"  {name}: {target}" for name, target in SERVES.items()),
        "nameserver: 127.0.0.1:9090",
        "servers:",
        "  s1: 127.0.0.1:9101",
        "  s2: 127.0.0.1:9102",
        "",
    ]
)
SHOPPING = ("--workload", "tests.testing.changed_shop:shopping", "--clients", "2", "--pause-ms", "5")
HELD_AGAINST = ("--model", "tests.testing.changed_shop:PlainShop")
CALLS_NEWER_CODE = """
from bankrmi.robustness.mutants import planted

bug = planted("call-a-version-that-is-not-there-yet")
bug.__enter__()
"""


def _chaos(folder: Path, minutes: str, *words: str, planted: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "shop.yaml").write_text(CONFIGURATION)
    (folder / "bug").mkdir()
    (folder / "bug" / "sitecustomize.py").write_text(planted)
    chaos = ["--config", "shop.yaml", "chaos", "--minutes", minutes, "--relays", "--directory", "run"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "bug"), str(ROOT)])}
    if planted:  # Which a new interpreter alone reads.
        command = [sys.executable, "-m", "bankrmi", *chaos, *SHOPPING, *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=900
        )
    return warm.run([*chaos, *SHOPPING, *words], cwd=folder, env=environment, timeout=900)


def test_whatever_was_rolled_out_by_then_all_servers_get_the_last_release_and_each_service_is_migrated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _chaos(tmp_path, "0.05", "--seed", "3", *HELD_AGAINST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "state and queries as in PlainShop by itself" in done.stdout
    begins = "Servers begin with tests.testing.changed.stock_1:Stock, tests.testing.changed.orders_1:Orders; "
    assert f"{begins}then they get, one after the other, " in done.stderr
    for service in ("stock", "orders"):
        assert re.search(rf"  {service}\.migrate_1_to_2: 1 returned", done.stderr), done.stderr
    monkeypatch.chdir(tmp_path)
    copies = [word for name in ("s1", "s2") for word in ("--data", f"run/data/{name}")]
    for model, code in (([], 0), (HELD_AGAINST, 0), (["--model", f"{__name__}:Newest"], 2)):
        assert main(["--config", "shop.yaml", "check", "run/history", *copies, *model]) == code
    told = capsys.readouterr()
    assert "Newest knows nothing of version 1, of orders 1" in told.out + told.err


class Newest(PlainShop):
    """A model that does not say what was before."""

    previous = None  # type: ignore[assignment]


def test_servers_begin_with_the_oldest_classes_that_the_model_knows() -> None:
    services = load_services(SERVES, ROOT)
    for seed in range(3):
        begins, *_, ends = named_releases(SERVES, services, None, seed)
        assert begins == {
            name: f"{target.partition(':')[0]}_1:{target.partition(':')[2]}"
            for name, target in SERVES.items()
        }
        assert ends == SERVES
    assert json.dumps(named_releases(SERVES, services, Newest, 1)) == json.dumps([SERVES])


def test_a_class_that_has_another_name_is_not_served_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that serve classes of two names are of two banks; so that service has its newest class from the
    beginning, and that is said."""
    services = load_services(SERVES, ROOT)
    assert why_not_older(SERVES, services) == []
    monkeypatch.delattr(stock_1, "Stock")
    begins, *_, ends = named_releases(SERVES, services, None, 1)
    assert begins == {**SERVES, "orders": "tests.testing.changed.orders_1:Orders"}
    assert ends == SERVES
    [why] = why_not_older(SERVES, services)
    assert why.startswith(
        "Stock is served from version 2 on: the class before is no tests.testing.changed.stock_1:Stock, "
    )


@pytest.mark.long
@pytest.mark.parametrize("words", [(), HELD_AGAINST, ("--servers", "3")], ids=["classes", "model", "three"])
def test_they_are_changed_while_all_is_broken(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = _chaos(tmp_path, "1.5", "--seed", "11", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"  +\d+  servers given other code", done.stdout)
    for service in ("stock", "orders"):
        assert re.search(rf"  {service}\.migrate_1_to_2: 1 returned", done.stderr), done.stderr
