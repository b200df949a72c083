#!/usr/bin/env bash
# Pyro5's name server and the witness, in one process: `bankrmi nameserver` of this checkout, or of the PATH.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -x "$here/.venv/bin/python" ]; then
    [ -n "${BANKRMI_CONFIG:-}" ] || [ -e config.yaml ] || export BANKRMI_CONFIG="$here/config.yaml"
    exec "$here/.venv/bin/python" -m bankrmi nameserver "$@"
fi
command -v bankrmi >/dev/null || { echo "bankrmi is not installed: run 'make up' once in $here" >&2; exit 1; }
exec bankrmi nameserver "$@"
