"""The server process: the rules of `replication`, driven on real sockets and a real disk."""

from bankrmi.server.process import run

__all__ = ["run"]
