"""The rules of replication, pure: events and the time in, effects out.  Knows no accounts, no sockets."""
