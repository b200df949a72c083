"""The rules of replication, pure: events and the time in, effects out.  Knows nothing of accounts or sockets."""
