from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from bankrmi import config
from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Deposit
from bankrmi.config import ConfigSettings, Configuration, load, split_address
from bankrmi.config_settings import ClientSettings, LimitSettings
from bankrmi.errors import ConfigurationError
from bankrmi.protocol_versions import NEWEST
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.queue import OPERATION_BYTES, REQUEST_BYTES
from bankrmi.replication.record import Position, Record, packed
from bankrmi.replication.settings import Settings
from bankrmi.rmi.values import write_call
from bankrmi.server.wire import message_to_wire

PLAIN = """\
nameserver: 127.0.0.1:9090
servers:
  s1: 127.0.0.1:9101
  s2: 127.0.0.1:9102
"""
SHIPPED = Path(__file__).parent.parent / "config.yaml"


def written(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    return file


def refusal(folder: Path, text: str) -> list[str]:
    """Return the lines of the refusal, without the folder's name."""
    with pytest.raises(ConfigurationError) as refused:
        load(written(folder, text))
    return refused.value.message.replace(f"{folder}/", "").splitlines()


def test_the_shipped_file_says_what_holds_without_it(tmp_path: Path) -> None:
    """Each default is written down in config.yaml, so that nobody has to look for it in the code."""
    shipped, plain = load(SHIPPED), load(written(tmp_path, PLAIN))
    paths = {"path", "ledger", "data_dir"}
    assert shipped.model_dump(exclude=paths) == plain.model_dump(exclude=paths)
    for key in Configuration.model_fields:
        assert f"\n{key}:" in SHIPPED.read_text() or key in ("path", "insecure", "relayed")


def test_the_witness_is_in_the_name_servers_process_unless_said_otherwise(tmp_path: Path) -> None:
    assert load(written(tmp_path, PLAIN)).witness == "127.0.0.1:9090"
    assert load(written(tmp_path, PLAIN + "witness: 127.0.0.1:9091\n")).witness == "127.0.0.1:9091"


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, PLAIN + "ledger: accounts/ledger.csv\ndata_dir: /var/lib/bank\n")
    monkeypatch.chdir("/")
    configuration = load(file)
    assert configuration.ledger == tmp_path / "accounts" / "ledger.csv"
    assert configuration.data_dir == Path("/var/lib/bank")


def test_servers_keep_the_order_of_the_file(tmp_path: Path) -> None:
    text = "nameserver: localhost:9090\nservers: {z: 'localhost:1', a: 'localhost:2', m: '[::1]:2'}\n"
    assert list(load(written(tmp_path, text)).servers) == ["z", "a", "m"]


def test_every_mistake_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    text = """\
nameserver: 127.0.0.1:99090
servers:
  s1: 127.0.0.1:9101
  s/2: 127.0.0.1
leese_ms: 400
heartbeat_ms: "100"
drift_ms: 2.5
copies_min: 3
client:
  timeout: 5
limits: many
"""
    assert refusal(tmp_path, text) == [
        "config.yaml line 1: 127.0.0.1:99090 has a port that is not between 1 and 65535",
        "config.yaml line 4: 's/2' is not a name: letters, digits, - and _ are allowed",
        "config.yaml line 4: '127.0.0.1' is not an address: write host:port, like 127.0.0.1:9101",
        "config.yaml line 5: unknown key 'leese_ms': did you mean lease_ms?",
        "config.yaml line 6: heartbeat_ms must be a whole number, not '100'",
        "config.yaml line 7: drift_ms must be a whole number, not 2.5",
        "config.yaml line 10: unknown key 'timeout': did you mean timeout_ms?",
        "config.yaml line 11: limits must hold lines like 'key: value', indented below it",
    ]


def test_what_does_not_fit_together_is_reported_with_what_is_wrong_by_itself(tmp_path: Path) -> None:
    text = PLAIN + "copies_min: 3\nclient:\n  patience_ms: 0\nlease_ms: 240\n"
    assert refusal(tmp_path, text) == [
        (
            "config.yaml line 5: copies_min is 3, and must be between 1 and the number of servers (2), "
            "or nothing could ever be acknowledged"
        ),
        "config.yaml line 7: patience_ms is 0, and must be at least 1",
        (
            "config.yaml line 8: lease_ms is 240, and must be over 240 (twice drift_ms plus twice "
            "heartbeat_ms), or it would run out between two heartbeats; 0 does without a lease"
        ),
    ]


def test_a_mistake_is_not_blamed_on_its_neighbours(tmp_path: Path) -> None:
    """Where s2 is misspelt, two copies of two servers are not wrong; nor is a lease that fits no default."""
    text = "nameserver: localhost:9090\nservers:\n  s1: localhost:9101\n  s2: localhost\ncopies_min: 2\n"
    text += "lease_ms: 150\nheartbeat_ms: x\n"
    assert [line.split(":")[0] for line in refusal(tmp_path, text)] == [
        "config.yaml line 4",
        "config.yaml line 7",
    ]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("lease_ms: 500\nheartbeat_ms: 200\ndrift_ms: 50\n", "line 5: lease_ms is 500, and must be over 500"),
        (
            "heartbeat_ms: 500\nlease_ms: 5000\n",
            "line 5: heartbeat_ms is 500, and must be under checkpoint_timeout_ms",
        ),
        ("copies_min: 0\n", "line 5: copies_min is 0"),
        ("  s3: localhost:9102\n", "line 5: server s3 has the address of server s2"),
        ("  s3: 127.0.0.1:9090\n", "line 5: server s3 has the address of the name server"),
        (
            "  s3: 127.0.0.1:9099\nwitness: localhost:9099\n",
            "line 5: server s3 has the address of the witness",
        ),
        ("  s3: 127.0.0.1:0\n", "line 5: 127.0.0.1:0 has a port that is not between 1 and 65535"),
        ("  s3: 0.0.0.0:9103\n", "line 5: 0.0.0.0:9103 is not an address that others could call"),
        ("  s3: 127.0.1:9103\n", "line 5: 127.0.1 in 127.0.1:9103 is not an IP address"),
        ("  s3: 192.0.2.7:9103\n", "line 5: 192.0.2.7:9103 can be reached by others"),
        ("  log: 127.0.0.1:9103\n", "line 5: a server cannot be called log"),
        ("  3: 127.0.0.1:9103\n", "line 5: 3 must be text, not 3"),
        ("path: elsewhere\n", "line 5: unknown key 'path'"),
        ("refused_means_gone: 1\n", "line 5: refused_means_gone must be true or false, not 1"),
        ("lease_ms: true\n", "line 5: lease_ms must be a whole number, not True"),
        ("ledger: 5\n", "line 5: ledger must be text, not 5"),
        ("lease_ms: 1000\nlease_ms: 2000\n", "line 6: found duplicate key"),
        ("lease_ms: [1\n", "line 6: "),
        (
            "limits:\n  server_message_bytes: 2097152\n",
            "line 6: server_message_bytes is 2097152, and must be at least 4194304",
        ),
        (
            "limits:\n  operations_per_request: 16384\n",
            "line 5: message_bytes is 1048576, and must be at least 1049600",
        ),
        (
            "limits:\n  answer_bytes: 1048576\n",
            "line 6: answer_bytes is 1048576, and must be at least 2097152",
        ),
        (
            "limits:\n  group_bytes: 33554432\n",
            "line 5: server_message_bytes is 16777216, and must be at least 69206016",
        ),
        (
            "limits:\n  held_bytes: 1048576\n",
            "line 6: held_bytes is 1048576, and must be at least 33554432 (twice server_message_bytes, the",
        ),
        (
            "limits:\n  waiting_bytes: 100000\n",
            "line 6: waiting_bytes is 100000, and must be at least 722944",
        ),
        (
            "limits:\n  entries_per_second: 600000\n",
            "line 5: entries_per_second_per_address is 500000, and must be at least entries_per_second (600",
        ),
        (
            "limits:\n  stranger_entries_per_second: 0\n",
            "line 5: stranger_entries_per_second_per_address is 20000, and must be at least stranger",
        ),
        ("limits:\n  entries_per_second: -1\n", "line 6: entries_per_second is -1, and must be at least 0"),
        (
            "  s3: '[fe80::1]:9103'\n",
            "line 5: [fe80::1]:9103 is a link-local address, which says nothing without its",
        ),
        (
            "limits:\n  handshake_bytes: 536870912\n",
            "line 5: held_bytes is 67108864, and must be at least 1073741824 (twice handshake_bytes, ",
        ),
        (
            "limits:\n  serpent_bytes: 536870912\n",
            "line 5: held_bytes is 67108864, and must be at least 1073741824 (twice serpent_bytes, ",
        ),
        (
            "limits:\n  server_message_bytes: 1073741824\n",
            "line 6: server_message_bytes is 1073741824, and must be at most 536870912",
        ),
        (
            "client: {patience_ms: 700, timeout_ms: 600}\n",
            "line 5: patience_ms is 700, and must be at most timeout_ms (600)",
        ),
        (
            "heartbeat_ms: 2000000\ncheckpoint_timeout_ms: 3600000\n",
            "line 5: drift_ms and heartbeat_ms are 2000020 together, and must be under 1800000",
        ),
        (
            "drift_ms: 2000000\n",
            "line 5: drift_ms and heartbeat_ms are 2000100 together, and must be under 1800000",
        ),
    ],
)
def test_what_cannot_work_is_refused_and_says_where(tmp_path: Path, more: str, what: str) -> None:
    (line,) = refusal(tmp_path, PLAIN + more)
    assert line.startswith(f"config.yaml {what}")


def bounds(key: tuple[str | int, ...]) -> tuple[int, int]:
    """Return the least and the most that a number may be by itself."""
    kind: Any = {"limits": LimitSettings, "client": ClientSettings}.get(str(key[0]), ConfigSettings)
    rules = kind.model_fields[key[-1]].metadata
    least = next((rule.ge for rule in rules if hasattr(rule, "ge")), 1)
    return least, next((rule.le for rule in rules if hasattr(rule, "le")), 2)


def numbers(kind: type[BaseModel], *above: str) -> list[tuple[str, ...]]:
    return [(*above, name) for name, field in kind.model_fields.items() if field.annotation is int]


NUMBERS = [*numbers(ConfigSettings), *numbers(LimitSettings, "limits"), *numbers(ClientSettings, "client")]


@given(
    extremes=st.dictionaries(st.sampled_from(NUMBERS), st.sampled_from([0, 1]), max_size=5),
)
def test_what_is_advised_is_not_refused_in_its_turn(extremes: dict[tuple[str, ...], int]) -> None:
    """A number that has to fit to others may be what it is told to be, however small or large those are."""
    values: dict[str, Any] = {
        "nameserver": "localhost:1",
        "servers": {"s1": "localhost:2", "s2": "localhost:3"},
    }
    for key, extreme in extremes.items():
        inner = values.setdefault(key[0], {}) if len(key) == 2 else values
        inner[key[-1]] = bounds(key)[extreme]
    for mistake in config._impossible(ConfigSettings.model_validate(values)):
        least, most = bounds(mistake.key)
        if advised := re.search(r"must be at least (?:\S+ \()?(\d+)", mistake.message):
            assert int(advised[1]) <= most, mistake
        elif advised := re.search(r"is \d+, and must be over (\d+)", mistake.message):
            assert int(advised[1]) < most, mistake
        elif advised := re.search(r"must be (under|at most) (?:\S+ \()?(\d+)", mistake.message):
            assert int(advised[2]) - (advised[1] == "under") >= least, mistake
        else:
            assert re.search(r"without limit|must be between", mistake.message), mistake


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "config.yaml: settings are expected, lines like 'lease_ms: 1000'"),
        ("- a\n", "config.yaml: settings are expected, lines like 'lease_ms: 1000'"),
        ("nameserver: localhost:9090\nservers: {}\n", "config.yaml line 2: servers must name at least one"),
        ("servers:\n  s1: localhost:1\n", "config.yaml: nameserver is missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, text: str, what: str) -> None:
    assert refusal(tmp_path, text) == [what]


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no configuration"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"service: caf\xe9\n")
    with pytest.raises(ConfigurationError, match="is not text in UTF-8"):
        load(tmp_path / "latin.yaml")


def test_no_lease_at_all_fits_everything(tmp_path: Path) -> None:
    """lease_ms: 0 has no margins to be shorter than; every read is confirmed."""
    assert load(written(tmp_path, PLAIN + "lease_ms: 0\ndrift_ms: 1000\n")).lease_ms == 0


def test_the_flag_comes_before_the_environment_and_that_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {}
    for name in ("here", "variable", "flag"):
        (tmp_path / name).mkdir()
        files[name] = written(tmp_path / name, PLAIN + f"service: {name}\n")
    monkeypatch.chdir(tmp_path / "here")
    assert load().service == "here"
    monkeypatch.setenv("BANKRMI_CONFIG", str(files["variable"]))
    assert load().service == "variable"
    assert load(files["flag"]).service == "flag"


def test_every_scalar_setting_has_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANKRMI_LEASE_MS", "700")
    monkeypatch.setenv("BANKRMI_DATA_DIR", "elsewhere")
    monkeypatch.setenv("BANKRMI_SERVICE", "2")
    monkeypatch.setenv("BANKRMI_REFUSED_MEANS_GONE", "false")
    monkeypatch.setenv("BANKRMI_CLIENT_TIMEOUT_MS", "90")
    monkeypatch.setenv("BANKRMI_LIMITS_CONNECTIONS", "9")
    monkeypatch.setenv("BANKRMI_NAMESERVER", "127.0.0.1:7")
    monkeypatch.setenv("BANKRMI_HEARTBEAT_MS", "")  # As good as not set.
    told = load(written(tmp_path, PLAIN + "client:\n  patience_ms: 77\n"))
    assert (told.lease_ms, told.data_dir, told.service) == (700, tmp_path / "elsewhere", "2")
    assert (told.refused_means_gone, told.limits.connections, told.heartbeat_ms) == (False, 9, 100)
    assert (told.client.timeout_ms, told.client.patience_ms) == (90, 77)
    assert (told.nameserver, told.witness) == ("127.0.0.1:7", "127.0.0.1:7")


def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANKRMI_LEASE_MS", "100")
    monkeypatch.setenv("BANKRMI_CLIENT_TIMEOUT_MS", "soon")
    assert refusal(tmp_path, PLAIN + "lease_ms: 5000\n") == [
        "BANKRMI_CLIENT_TIMEOUT_MS: timeout_ms must be a whole number, not 'soon'",
        (
            "BANKRMI_LEASE_MS: lease_ms is 100, and must be over 240 (twice drift_ms plus twice "
            "heartbeat_ms), or it would run out between two heartbeats; 0 does without a lease"
        ),
    ]


def test_other_machines_reach_a_bank_only_where_that_is_meant(tmp_path: Path) -> None:
    text = "nameserver: bank.example:9090\nservers:\n  s1: 127.8.8.8:9101\n  s2: '[2001:db8::2]:9102'\n"
    assert [line[:18] for line in refusal(tmp_path, text)] == ["config.yaml line 1", "config.yaml line 4"]
    meant = load(written(tmp_path, text), insecure=True)
    assert meant.beyond_loopback() == ["bank.example:9090", "[2001:db8::2]:9102"]


def test_the_name_server_alone_is_enough_for_a_client_and_for_nobody_else(tmp_path: Path) -> None:
    client = load(written(tmp_path, "nameserver: localhost:9090\nclient: {timeout_ms: 500}\n"))
    assert (client.servers, client.client.timeout_ms) == ({}, 500)
    with pytest.raises(ConfigurationError, match=r"config.yaml: servers is missing: .* can be a client"):
        client.check_servers()
    load(written(tmp_path, PLAIN)).check_servers()


def test_what_is_wrong_beside_missing_servers_is_told(tmp_path: Path) -> None:
    first, second = refusal(tmp_path, "nameserver: 10.0.0.1:9090\nlease_ms: 5\n")
    assert first.startswith("config.yaml line 1: 10.0.0.1:9090 can be reached by others")
    assert second.startswith("config.yaml line 2: lease_ms is 5, and must be over 240")


def test_it_is_known_whether_others_may_reach_what_is_learned_later(tmp_path: Path) -> None:
    file = written(tmp_path, PLAIN)
    assert not load(file).insecure
    assert load(file, insecure=True).insecure
    assert refusal(tmp_path, PLAIN + "insecure: true\n")[0].startswith("config.yaml line")


def test_a_configuration_made_in_code_is_checked_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="copies_min"):
        Configuration(
            path=tmp_path / "none", nameserver="localhost:1", servers={"s1": "localhost:2"}, copies_min=2
        )


@given(host=st.text(string.ascii_letters + string.digits, min_size=1), port=st.integers(1, 65535))
def test_an_address_is_split_where_it_was_joined(host: str, port: int) -> None:
    assert split_address(f"{host}:{port}") == (host, port)
    assert split_address(f"[::1]:{port}") == ("::1", port)


@given(address=st.text())
def test_what_is_no_address_is_a_value_error(address: str) -> None:
    try:
        host, port = split_address(address)
    except ValueError as error:
        assert str(error)
    else:
        assert address in (f"{host}:{address.rpartition(':')[2]}", f"[{host}]:{address.rpartition(':')[2]}")
        assert 1 <= port <= 65535


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="abs:{}[]-#&*!|>'\"%@`\n 1.<", max_size=60) | st.binary().map(repr))
def test_whatever_the_file_holds_the_answer_is_a_configuration_or_sentences(
    tmp_path: Path, text: str
) -> None:
    file = written(tmp_path, PLAIN + text)
    try:
        load(file)
    except ConfigurationError as error:
        assert all(line.startswith(str(file)) for line in error.message.splitlines())


def test_what_is_sent_between_servers_is_as_large_as_the_limits_take_it_to_be() -> None:
    """The configuration stands below replication, and cannot ask it."""
    assert Settings(server="s1", servers=("s1",)).catch_up_operations == config._ENTRIES_AT_ONCE
    most, operation = (1 << 63) - 1, form_of(Deposit((1 << 63) - 1, (1 << 63) - 1))

    def record(operations: int) -> Record:
        asked, came = packed([operation] * operations), packed([("insufficient", most)] * operations)
        return Record(most, most, "s" * 64, 10**18 - 1, operations, asked, came, most, b"d" * 32)

    def size(*records: Record) -> int:
        message = Checkpoint(
            history="h", epoch=1, primary="s1", start_id="s1#1", number=1, acknowledged=0,
            previous=Position(0, 0, b""), base=Position(0, 0, b""), lease_ms=1000, drift_ms=20,
            records=records,
        )  # fmt: skip
        return len(write_call("standby", "checkpoint", message_to_wire(message, NEWEST), {}))

    of_one = (size(*[record(1)] * 1000) - size()) / 1000
    of_many = (size(record(8000)) - size()) / 8000
    assert max(of_one, of_many) < config._ENTRY_BYTES
    assert of_many < config._GROUP_TAKES * OPERATION_BYTES
    assert of_one < config._GROUP_TAKES * (OPERATION_BYTES + REQUEST_BYTES)


# -- certificates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "certificates:\n", "certificates: null\n"])
def test_without_a_section_there_are_no_certificates(tmp_path: Path, text: str) -> None:
    assert load(written(tmp_path, PLAIN + text)).certificates is None


def test_certificates_are_beside_the_file_and_need_no_names(tmp_path: Path) -> None:
    for text, folder in (
        ("{}", "certificates"),
        ("{folder: keys}", "keys"),
        ("{folder: /etc/keys}", "/etc/keys"),
    ):
        found = load(written(tmp_path, f"{PLAIN}certificates: {text}\n")).certificates
        assert found is not None
        assert (found.folder, found.client, found.operator) == (tmp_path / folder, None, None)


def test_whose_certificate_is_shown_can_be_said_by_the_environment(tmp_path: Path) -> None:
    """Several people share a machine and its configuration."""
    for text in ("", "certificates:\n", "certificates: {client: bob}\n"):
        file = written(tmp_path, PLAIN + text)
        found = load(file, environment={"BANKRMI_CERTIFICATES_CLIENT": "anna"}).certificates
        assert found is not None
        assert (found.client, found.folder) == ("anna", tmp_path / "certificates")
    found = load(file, environment={"BANKRMI_CERTIFICATES_FOLDER": "/etc/keys"}).certificates
    assert found is not None
    assert (found.client, found.folder) == ("bob", Path("/etc/keys"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("yes", "certificates must hold lines like 'key: value', indented below it"),
        ("{fodler: x}", "unknown key 'fodler': did you mean folder?"),
        ("{client: 7}", "client must be text, not 7 (quotes make text of a number)"),
        ("{operator: a b}", "'a b' is not a name: letters, digits, - and _ are allowed"),
        ("{client: ''}", "'' is not a name: letters, digits, - and _ are allowed"),
        ("{folder: 3}", "folder must be text, not 3 (quotes make text of a number)"),
    ],
)
def test_a_mistake_about_certificates_is_told_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    assert refusal(tmp_path, f"{PLAIN}certificates: {text}\n") == [f"config.yaml line 5: {sentence}"]
    variable = {"BANKRMI_CERTIFICATES_CLIENT": "-x"}
    with pytest.raises(ConfigurationError, match="BANKRMI_CERTIFICATES_CLIENT: '-x' is not a name"):
        load(written(tmp_path, PLAIN), environment=variable)


# -- where figures are shown ---------------------------------------------------------------------------


def test_metrics_are_nowhere_unless_said_otherwise(tmp_path: Path) -> None:
    assert load(written(tmp_path, PLAIN)).metrics == {}
    told = load(written(tmp_path, PLAIN + "metrics: {s1: 127.0.0.1:9191, nameserver: 127.0.0.1:9190}\n"))
    assert told.metrics == {"s1": "127.0.0.1:9191", "nameserver": "127.0.0.1:9190"}


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ("{s3: 127.0.0.1:9191}", "there is no process s3 to have metrics: there are nameserver, s1, s2"),
        ("{witness: 127.0.0.1:9191}", "there is no process witness to have metrics: there are nameserver"),
        ("{s1: 127.0.0.1:9102}", "metrics of s1 have the address of server s2, 127.0.0.1:9102: only one"),
        (
            "{s1: 127.0.0.1:9191, s2: 127.0.0.1:9191}",
            "metrics of s2 have the address of metrics of s1, 127.0.0.1:9191: only one can listen there",
        ),
        ("{s1: 10.0.0.1:9191}", "10.0.0.1:9191 can be read by others"),
        ("{s1: 0.0.0.0:9191}", "0.0.0.0:9191 can be read by others"),
        ("{s1: 0.0.0.0:9102}", "metrics of s1 have the address of server s2, 0.0.0.0:9102: only one"),
        ("{s1: 9191}", "s1 must be text, not 9191"),
        ("127.0.0.1:9191", "metrics must hold lines like 'key: value', indented below it"),
    ],
)
def test_metrics_that_cannot_be_are_refused_with_their_line(tmp_path: Path, metrics: str, says: str) -> None:
    line, *_ = refusal(tmp_path, f"{PLAIN}metrics: {metrics}\n")
    assert line.startswith("config.yaml line 5: ")
    assert says in line


def test_metrics_that_others_can_read_are_told_apart_from_what_moves_money(tmp_path: Path) -> None:
    told = load(written(tmp_path, PLAIN + "metrics: {s1: 10.0.0.1:9191}\n"), insecure=True)
    assert told.beyond_loopback() == []
    assert told.metrics_beyond_loopback() == ["10.0.0.1:9191"]


def test_a_witness_with_an_address_of_its_own_may_have_metrics_of_its_own(tmp_path: Path) -> None:
    text = PLAIN + "witness: 127.0.0.1:9091\nmetrics: {witness: 127.0.0.1:9191}\n"
    assert load(written(tmp_path, text)).metrics == {"witness": "127.0.0.1:9191"}


# -- where processes listen ----------------------------------------------------------------------------

APART = """\
nameserver: 10.0.0.10:9090
servers:
  s1: 10.0.0.11:9101
  s2: bank.example:9101
"""
"""Of several machines."""


def test_a_process_listens_where_it_is_announced_unless_said_otherwise(tmp_path: Path) -> None:
    plain = load(written(tmp_path, PLAIN))
    assert plain.listens_at("s1") == "127.0.0.1:9101"
    assert plain.listens_at("nameserver") == plain.listens_at("witness") == "127.0.0.1:9090"
    text = APART + "listen: {nameserver: 0.0.0.0:9090, s1: 0.0.0.0:9101, s2: '[::]:9101'}\n"
    told = load(written(tmp_path, text), insecure=True)
    assert told.listens_at("witness") == "0.0.0.0:9090"  # In the name server's process.
    assert (told.listens_at("s1"), told.listens_at("s2")) == ("0.0.0.0:9101", "[::]:9101")
    assert told.servers["s1"] == "10.0.0.11:9101"
    assert told.beyond_loopback() == [
        "10.0.0.10:9090",
        "10.0.0.11:9101",
        "bank.example:9101",
        "0.0.0.0:9090",
        "0.0.0.0:9101",
        "[::]:9101",
    ]


def test_a_witness_apart_listens_at_an_address_of_its_own(tmp_path: Path) -> None:
    text = PLAIN + "witness: 127.0.0.1:9091\nlisten: {nameserver: 127.0.0.2:9090, witness: 127.0.0.3:9091}\n"
    told = load(written(tmp_path, text))
    assert told.listens_at("nameserver") == "127.0.0.2:9090"
    assert told.listens_at("witness") == "127.0.0.3:9091"


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ("{s3: 127.0.0.1:9101}", "there is no process s3 to listen anywhere: there are nameserver, s1, s2"),
        ("{witness: 127.0.0.1:9091}", "there is no process witness to listen anywhere"),
        ("{s1: 0.0.0.0}", "'0.0.0.0' is not an address: write host:port"),
        ("{s1: 9101}", "s1 must be text, not 9101"),
        ("{s1: '[::ffff:10.0.0.1]:9101'}", "is an IPv4 address written as IPv6: write 10.0.0.1:9101"),
        ("{s1: 0.0.0.0:9101}", "0.0.0.0:9101 can be reached by others, and nobody there has to prove"),
        ("{s1: '[::]:9101'}", "[::]:9101 can be reached by others"),
        ("{s1: 127.0.0.1:9102}", "server s2 has the address of server s1, 127.0.0.1:9102: only one can"),
        ("{s2: 0.0.0.0:9101}", "server s2 has the address of server s1, 0.0.0.0:9101: only one can"),
        ("{s1: 0.0.0.0:9090}", "server s1 has the address of the name server, 0.0.0.0:9090: only one can"),
        ("127.0.0.1:9101", "listen must hold lines like 'key: value', indented below it"),
    ],
)
def test_where_nothing_can_listen_is_refused_with_its_line(tmp_path: Path, listen: str, says: str) -> None:
    lines = refusal(tmp_path, f"{PLAIN}listen: {listen}\n")
    assert any(re.match(r"config\.yaml line [345]: ", line) and says in line for line in lines), lines


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ("{s1: 0.0.0.0:9101, s2: 0.0.0.0:9101}", None),  # Two machines may.
        ("{s1: 0.0.0.0:9101, s2: '[::]:9101'}\nmetrics: {s1: 0.0.0.0:9191, s2: 0.0.0.0:9191}", None),
        ("{s1: 127.0.0.1:9101, s2: 127.0.0.1:9101}\nrefused_means_gone: false", None),  # Behind relays.
        ("{}\nmetrics: {s1: 127.0.0.1:9191, s2: 127.0.0.1:9191}", None),
        ("{s1: 0.0.0.0:9101}\nmetrics: {s1: 0.0.0.0:9101}", "metrics of s1 have the address of server s1"),
        ("{s2: 10.0.0.11:9101}", "server s2 has the address of server s1, 10.0.0.11:9101: only one can"),
        ("{s2: 10.0.0.12:9101}", None),  # A name may be of that machine.
        ("{s1: 10.0.0.12:9101}", "refused_means_gone must be false: s1 is announced at 10.0.0.11:9101 and"),
        ("{s1: 127.0.0.1:9101}", "refused_means_gone must be false: s1 is announced at 10.0.0.11:9101 and"),
        ("{s2: 0.0.0.0:9102}", "refused_means_gone must be false: s2 is announced at bank.example:9101 and"),
        ("{s2: 0.0.0.0:9102}\nrefused_means_gone: false", None),
        ("{nameserver: 10.9.9.9:9099}", None),  # No refusal of the name server's proves anything.
    ],
)
def test_what_is_certain_about_several_machines(tmp_path: Path, listen: str, says: str | None) -> None:
    """Clashes are refused where they are certain, and so is a proof that would be none (R3)."""
    file = written(tmp_path, f"{APART}listen: {listen}\n")
    if says is None:
        load(file, insecure=True)
        return
    with pytest.raises(ConfigurationError) as refused:
        load(file, insecure=True)
    [line] = refused.value.message.splitlines()
    assert says in line


def test_all_ipv4_addresses_of_a_machine_are_none_of_its_ipv6_ones(tmp_path: Path) -> None:
    text = APART.replace("10.0.0.11", "'[fd00::1]").replace(":9101\n", ":9101'\n", 1)
    load(written(tmp_path, text + "listen: {s1: '[::]:9101'}\n"), insecure=True)
    with pytest.raises(ConfigurationError, match=r"s1 is announced at \[fd00::1\]:9101 and listens at 0"):
        load(written(tmp_path, text + "listen: {s1: 0.0.0.0:9101}\n"), insecure=True)


def test_a_name_server_apart_from_its_witness_has_to_be_told_which_of_them_it_is(tmp_path: Path) -> None:
    """Every machine has 0.0.0.0: at both of them name server and witness would be served, two of each."""
    text = APART + "witness: 10.0.0.9:9090\nlisten: {%s: %s}\n"
    for process, what in (("nameserver", "name server"), ("witness", "witness")):
        for bound in ("0.0.0.0:9090", "127.0.0.1:9090"):
            with pytest.raises(ConfigurationError, match=f"whether it is to serve the {what} or only"):
                load(written(tmp_path, text % (process, bound)), insecure=True)
        load(written(tmp_path, text % (process, "192.0.2.1:9090")), insecure=True)


# -- etcd in the place of the witness ------------------------------------------------------------------


def test_etcd_is_named_below_witness_and_its_files_are_relative_to_the_file(tmp_path: Path) -> None:
    found = load(
        written(
            tmp_path,
            PLAIN + "witness:\n  etcd: [https://127.0.0.1:1, https://127.0.0.1:2/]\n  ca: ca.pem\n"
            "  certificate: c.pem\n  key: c.key\n  user: bank\n  password_file: p\n",
        )
    )
    assert found.witness_address is None
    assert found.etcd is not None
    assert found.etcd.addresses() == ["127.0.0.1:1", "127.0.0.1:2"]
    assert found.etcd.prefix == "/bankrmi/"
    files = (found.etcd.ca, found.etcd.certificate, found.etcd.key, found.etcd.password_file)
    assert files == tuple(tmp_path / name for name in ("ca.pem", "c.pem", "c.key", "p"))


def test_the_password_of_etcd_can_come_from_the_environment_and_is_not_shown(tmp_path: Path) -> None:
    file = written(tmp_path, PLAIN + "witness:\n  etcd: [http://127.0.0.1:1]\n  user: bank\n")
    found = load(file, environment={"BANKRMI_WITNESS_PASSWORD": "of the bank"})
    assert found.etcd is not None
    assert found.etcd.password == "of the bank"
    assert "of the bank" not in repr(found)
    other = load(file, environment={"BANKRMI_WITNESS": "127.0.0.1:7"})
    assert (other.witness_address, other.etcd) == ("127.0.0.1:7", None)


@pytest.mark.parametrize(
    ("below", "line", "said"),
    [
        ("etcd: []", 6, "etcd must name 1 to 9 members, and names 0"),
        ("etcd: http://127.0.0.1:1", 6, "etcd must be a list, like"),
        ("etcd: [127.0.0.1:1]", 6, "'127.0.0.1:1' is not the address of a member of etcd"),
        ("etcd: [http://127.0.0.1:1, 7]", 6, "etcd must be text, not 7"),
        ("etcd: [http://127.0.0.1:1, http://127.0.0.1:1]", 6, "etcd names http://127.0.0.1:1 twice"),
        (
            "etcd: [http://127.0.0.1:1, https://127.0.0.1:2]",
            6,
            "all to be asked with https, or all with http",
        ),
        ("etcd: [http://127.0.0.1:9090]", 1, "the name server has the address of a member of etcd"),
        ("etcd: [http://127.0.0.1:9101]", 3, "server s1 has the address of a member of etcd"),
        ("etcd: [http://10.0.0.1:1]", 6, "http://10.0.0.1:1 is on another machine, and what is said to it"),
        ("etcd: [https://127.0.0.1:1]", 6, "ca must name whose certificates are believed"),
        ("etcd: [http://127.0.0.1:1]\n  ca: x", 7, "ca is for https, and etcd is asked with http"),
        ("etcd: [https://127.0.0.1:1]\n  ca: x\n  key: y", 5, "certificate and key belong together"),
        ("etcd: [http://127.0.0.1:1]\n  user: x", 7, "user and password (or password_file) belong together"),
        (
            "etcd: [http://127.0.0.1:1]\n  user: x\n  password: y\n  password_file: z",
            8,
            "password and password_file: name one of them",
        ),
        ("etcd: [http://127.0.0.1:1]\n  user: x\n  password: 12345", 8, "not what stands there"),
        ("etcd: [http://127.0.0.1:1]\n  prefix: x", 7, "'x' is not a prefix of keys"),
        ("etcd: [http://127.0.0.1:1]\n  prefx: x", 7, "unknown key 'prefx': did you mean prefix?"),
        ("prefix: /x/", 5, "etcd is missing"),
    ],
)
def test_what_is_wrong_with_etcd_is_told_with_its_line(
    tmp_path: Path, below: str, line: int, said: str
) -> None:
    lines = refusal(tmp_path, f"{PLAIN}witness:\n  {below}\n")
    assert any(found.startswith(f"config.yaml line {line}: ") and said in found for found in lines), lines


def test_a_class_that_is_served_is_named_by_module_and_class(tmp_path: Path) -> None:
    assert load(written(tmp_path, PLAIN)).serves is None
    assert load(written(tmp_path, f"{PLAIN}serves: shop.inventory:Inventory\n")).serves == (
        "shop.inventory:Inventory"
    )
    served = load(written(tmp_path, PLAIN), environment={"BANKRMI_SERVES": "inventory:Inventory"})
    assert served.serves == "inventory:Inventory"


@pytest.mark.parametrize(
    "target", ["inventory", "inventory.py:Inventory ", "a:b:C", ":C", "a:", "a:class", "a..b:C"]
)
def test_what_cannot_name_a_class_is_refused(tmp_path: Path, target: str) -> None:
    [line] = refusal(tmp_path, f"{PLAIN}serves: '{target}'\n")
    assert line == (
        f"config.yaml line 5: {target!r} is not a class that can be served: write module:Class, like "
        "inventory:Inventory"
    )


def test_the_journal_of_a_class_is_kept_whole(tmp_path: Path) -> None:
    text = f"{PLAIN}serves: inventory:Inventory\njournal:\n  keep_days: 2\n"
    [line] = refusal(tmp_path, text)
    assert line.startswith("config.yaml line 7: keep_days shortens a bank's journal; that of a class")


BANKS = [
    "serves: bankrmi:Account\n",
    "serves: bankrmi.bank.account:Account\n",
    "serves:\n  account: bankrmi:Account\n",
]


@pytest.mark.parametrize("serves", BANKS)
def test_the_bank_by_its_name_is_what_is_served_where_nothing_is_said(tmp_path: Path, serves: str) -> None:
    """With all that only a bank can do: to fold its journal, and to have its accounts in a database."""
    told = load(written(tmp_path, f"{PLAIN}{serves}"))
    assert told == load(written(tmp_path, PLAIN))
    assert (told.services, told.service, told.serves_in_words) == ({}, "account", "the accounts of a bank")
    assert load(written(tmp_path, f"{PLAIN}{serves}journal:\n  keep_days: 2\n")).serves is None
    assert load(written(tmp_path, f"{PLAIN}{serves}engine: postgresql://127.0.0.1/bank\n")).serves is None
    overridden = load(
        written(tmp_path, f"{PLAIN}serves: shop:Shop\n"), environment={"BANKRMI_SERVES": "bankrmi:Account"}
    )
    assert overridden.serves is None


def test_the_bank_is_called_as_the_file_calls_it_and_beside_others_it_is_one_of_them(tmp_path: Path) -> None:
    assert load(written(tmp_path, f"{PLAIN}serves:\n  girokonto: bankrmi:Account\n")).service == "girokonto"
    text = f"{PLAIN}serves:\n  girokonto: bankrmi:Account\nservice: account\n"
    [line] = refusal(tmp_path, text)
    assert "service is account, and must be one of those below serves (girokonto)" in line
    both = f"{PLAIN}serves:\n  account: bankrmi:Account\n  shop: shop:Shop\n"
    assert load(written(tmp_path, both)).services == {"account": "bankrmi:Account", "shop": "shop:Shop"}


SEVERAL = f"{PLAIN}serves:\n  stock: shop:Stock\n  orders: shop:Orders\n"


def test_several_classes_are_served_each_under_its_name(tmp_path: Path) -> None:
    several = load(written(tmp_path, SEVERAL))
    assert several.services == {"stock": "shop:Stock", "orders": "shop:Orders"}
    assert (several.service, several.has_several) == ("stock", True), "the first one gives its name"
    named = load(written(tmp_path, f"{SEVERAL}service: orders\n"))
    assert list(named.services) == ["orders", "stock"], "it is the one that was there first"
    alone = load(written(tmp_path, f"{PLAIN}serves: shop:Stock\nservice: stock\n"))
    assert (alone.services, alone.has_several) == ({"stock": "shop:Stock"}, False)
    assert load(written(tmp_path, PLAIN)).services == {}


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            "service: shelf\n",
            "line 8: service is shelf, and must be one of those below serves (stock, orders)",
        ),
        ("  Stock: shop:Stock\n", "line 8: stock and Stock are the same but for capitals"),
        ("  a.b: shop:Stock\n", "line 8: 'a.b' is not a name"),
        ("  other: shop\n", "line 8: 'shop' is not a class that can be served"),
    ],
)
def test_names_of_several_services_are_looked_at(tmp_path: Path, more: str, line: str) -> None:
    [said] = refusal(tmp_path, f"{SEVERAL}{more}")
    assert said.startswith(f"config.yaml {line}"), said
    assert refusal(tmp_path, f"{PLAIN}serves: {{}}\n") == [
        "config.yaml line 5: serves must name at least one"
    ]
