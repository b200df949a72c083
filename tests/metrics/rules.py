"""What Prometheus would see of a bank, and which rules then fire, as promtool tries them."""

from __future__ import annotations

from typing import Any

__all__ = ["BREAKING", "promtool_test"]

Series = dict[str, str]
"""Values, as promtool writes them: `1x60` stays, `0+5x60` grows."""

_INTERVAL_S = 15
"""How often Prometheus asks."""

_EVERY_S = 60
"""How often it tries the rules; each is looked at once, long after."""

WELL: Series = {
    'up{job="bankrmi", instance="n"}': "1",
    'up{job="bankrmi", instance="1"}': "1",
    'up{job="bankrmi", instance="2"}': "1",
    'up{job="another", instance="3"}': "0",
    'bankrmi_role{job="bankrmi", instance="1", role="primary"}': "1",
    'bankrmi_role{job="bankrmi", instance="1", role="standby"}': "0",
    'bankrmi_role{job="bankrmi", instance="2", role="primary"}': "0",
    'bankrmi_role{job="bankrmi", instance="2", role="standby"}': "1",
    'bankrmi_acknowledges{job="bankrmi", instance="1"}': "1",
    'bankrmi_copies{job="bankrmi", instance="n"}': "2",
    'bankrmi_copies{job="bankrmi", instance="1"}': "2",
    'bankrmi_copies{job="bankrmi", instance="2"}': "1",  # It lags: who leads counts.
    'bankrmi_paused{job="bankrmi", instance="1"}': "0",
    'bankrmi_fenced{job="bankrmi", instance="1"}': "0",
    'bankrmi_fenced{job="bankrmi", instance="2"}': "0",
    'bankrmi_witness{job="bankrmi", instance="n"}': "1",
    'bankrmi_witness_silent_seconds{job="bankrmi", instance="1"}': "0",
    'bankrmi_lag_operations{job="bankrmi", instance="1", server="s2"}': "3",
    'bankrmi_view_changes_total{job="bankrmi", instance="n", cause="crash"}': "3",
    'bankrmi_view_changes_total{job="bankrmi", instance="1", cause="crash"}': "0+9",
    'bankrmi_refused_total{job="bankrmi", instance="1", reason="waiting_time"}': "5",
    'bankrmi_refused_total{job="bankrmi", instance="1", reason="bad_message"}': "0+900",
    'bankrmi_requests_total{job="bankrmi", instance="1", kind="withdraw", outcome="done"}': "0+900",
    'bankrmi_requests_total{job="bankrmi", instance="1", kind="withdraw", outcome="in_doubt"}': "2",
    'bankrmi_requests_total{job="bankrmi", instance="1", kind="withdraw", outcome="error"}': "2",
    'bankrmi_request_seconds_bucket{job="bankrmi", instance="1", kind="withdraw", le="0.5"}': "0+900",
    'bankrmi_request_seconds_bucket{job="bankrmi", instance="1", kind="withdraw", le="10"}': "0+900",
    'bankrmi_request_seconds_bucket{job="bankrmi", instance="1", kind="withdraw", le="+Inf"}': "0+900",
    'bankrmi_sync_seconds_bucket{job="bankrmi", instance="1", le="0.05"}': "0+900",
    'bankrmi_sync_seconds_bucket{job="bankrmi", instance="1", le="5"}': "0+900",
    'bankrmi_sync_seconds_bucket{job="bankrmi", instance="1", le="+Inf"}': "0+900",
    'bankrmi_loop_late_seconds_bucket{job="bankrmi", instance="1", le="0.05"}': "0+900",
    'bankrmi_loop_late_seconds_bucket{job="bankrmi", instance="1", le="5"}': "0+900",
    'bankrmi_loop_late_seconds_bucket{job="bankrmi", instance="1", le="+Inf"}': "0+900",
    'bankrmi_waiting_bytes{job="bankrmi", instance="1"}': "700",
    'bankrmi_waiting_limit_bytes{job="bankrmi", instance="1"}': "1000",
    'bankrmi_connections{job="bankrmi", instance="1", kind="clients"}': "800",
    'bankrmi_connections{job="bankrmi", instance="1", kind="strangers"}': "50",
    'bankrmi_connections_limit{job="bankrmi", instance="1", kind="callers"}': "1000",
    'bankrmi_certificate_left_seconds{job="bankrmi", instance="1"}': "2000000",
    'bankrmi_info{job="bankrmi", instance="1", server="s1", version="1"}': "1",
    'bankrmi_info{job="bankrmi", instance="2", server="s2", version="1"}': "1",
}

BREAKING: dict[str, tuple[str, dict[str, str | None]]] = {
    "nobody leads": (
        "BankNobodyLeads BankAcknowledgesNothing",
        {
            'bankrmi_role{job="bankrmi", instance="1", role="primary"}': "0",
            'bankrmi_acknowledges{job="bankrmi", instance="1"}': "0",
        },
    ),
    "all servers are dead": (
        "BankNobodyLeads BankProcessDown",
        {
            'up{job="bankrmi", instance="1"}': "0",
            'up{job="bankrmi", instance="2"}': "0",
            'bankrmi_role{job="bankrmi", instance="1", role="primary"}': None,
            'bankrmi_role{job="bankrmi", instance="2", role="primary"}': None,
            'bankrmi_acknowledges{job="bankrmi", instance="1"}': None,
        },
    ),
    "a primary waits": (
        "BankAcknowledgesNothing",
        {'bankrmi_acknowledges{job="bankrmi", instance="1"}': "0"},
    ),
    "two primaries": (
        "BankTwoPrimaries BankOneCopyOnly",
        {'bankrmi_acknowledges{job="bankrmi", instance="2"}': "1"},
    ),
    "the witness forgot": (
        "BankWitnessLostItsMemory",
        {'bankrmi_fenced{job="bankrmi", instance="2"}': "1"},
    ),
    "a certificate ends": (
        "BankCertificateEnds",
        {'bankrmi_certificate_left_seconds{job="bankrmi", instance="1"}': "900000"},
    ),
    "one copy": ("BankOneCopyOnly", {'bankrmi_copies{job="bankrmi", instance="1"}': "1"}),
    "a process is down": ("BankProcessDown", {'up{job="bankrmi", instance="2"}': "0"}),
    "the witness is away": (
        "BankWitnessAway",
        {'bankrmi_witness_silent_seconds{job="bankrmi", instance="1"}': "0+15"},
    ),
    "a standby lags": (
        "BankStandbyLags",
        {'bankrmi_lag_operations{job="bankrmi", instance="1", server="s2"}': "200000"},
    ),
    "the view changes": (
        "BankViewChangesOften",
        {'bankrmi_view_changes_total{job="bankrmi", instance="n", cause="crash"}': "0+1"},
    ),
    "callers are turned away": (
        "BankIsBusy",
        {'bankrmi_refused_total{job="bankrmi", instance="1", reason="waiting_time"}': "0+30"},
    ),
    "calls end in doubt": (
        "BankCallsInDoubt",
        {'bankrmi_requests_total{job="bankrmi", instance="1", kind="withdraw", outcome="in_doubt"}': "0+1"},
    ),
    "a bug": (
        "BankFailsUnexpectedly",
        {'bankrmi_requests_total{job="bankrmi", instance="1", kind="withdraw", outcome="error"}': "0+1"},
    ),
    "calls are slow": (
        "BankCallsAreSlow",
        {'bankrmi_request_seconds_bucket{job="bankrmi", instance="1", kind="withdraw", le="0.5"}': "0+800"},
    ),
    "the disk is slow": (
        "BankDiskIsSlow",
        {'bankrmi_sync_seconds_bucket{job="bankrmi", instance="1", le="0.05"}': "0+800"},
    ),
    "the loop is late": (
        "BankLoopIsLate",
        {'bankrmi_loop_late_seconds_bucket{job="bankrmi", instance="1", le="0.05"}': "0+800"},
    ),
    "the waiting room is full": (
        "BankIsNearlyFull",
        {'bankrmi_waiting_bytes{job="bankrmi", instance="1"}': "900"},
    ),
    "all seats are taken": (
        "BankIsNearlyFull",
        {'bankrmi_connections{job="bankrmi", instance="1", kind="strangers"}': "150"},
    ),
    "a pause was forgotten": ("BankPaused", {'bankrmi_paused{job="bankrmi", instance="1"}': "1"}),
    "an upgrade was forgotten": (
        "BankVersionsDiffer",
        {
            'bankrmi_info{job="bankrmi", instance="2", server="s2", version="1"}': None,
            'bankrmi_info{job="bankrmi", instance="2", server="s2", version="2"}': "1",
        },
    ),
}
"""What goes wrong: the rules that fire, and what differs from a bank that is well (None: is not there)."""


def promtool_test(rules: str) -> dict[str, Any]:
    """Return promtool's test of these rules; in a bank that is well, nothing fires."""
    cases = {"well": ("", dict[str, str | None]()), **BREAKING}
    return {
        "rule_files": [rules],
        "evaluation_interval": f"{_EVERY_S}s",
        "tests": [_case(name, fires.split(), differs) for name, (fires, differs) in cases.items()],
    }


def _case(name: str, fires: list[str], differs: dict[str, str | None]) -> dict[str, Any]:
    series = {**WELL, **differs}
    after = "90m" if {"BankVersionsDiffer", "BankPaused"} & set(fires) else "20m"
    return {
        "name": name,
        "interval": f"{_INTERVAL_S}s",
        "input_series": [
            {"series": labels, "values": f"{values}x400"}
            for labels, values in series.items()
            if values is not None
        ],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": after,
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": _count(alert, name)} for alert in fires
                ],
            }
        ],
    }


def _count(alert: str, name: str) -> int:
    """For how many series: each dead process has its own."""
    return 2 if (alert, name) == ("BankProcessDown", "all servers are dead") else 1
