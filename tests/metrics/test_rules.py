"""docs/alerts.yaml, as promtool judges it: each rule fires for what it is about, and for nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.metrics.rules import BREAKING, promtool_test
from tests.pages import ROOT

RULES = ROOT / "docs/alerts.yaml"

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (apt install prometheus)"
)


def promtool(*arguments: str) -> str:
    ended = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_rules_are_well_formed() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_each_rule_fires_for_what_it_is_about_and_for_nothing_else(tmp_path: Path) -> None:
    test = tmp_path / "test.yaml"
    test.write_text(json.dumps(promtool_test(str(RULES))))
    promtool("test", "rules", str(test))


def test_each_rule_is_tried() -> None:
    [group] = YAML(typ="safe").load(RULES.read_text())["groups"]
    alerts = [rule["alert"] for rule in group["rules"]]
    assert set(alerts) == {alert for fires, _ in BREAKING.values() for alert in fires.split()}
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
