"""What is replicated: accounts, the operations on them, and the ledger they open with.

This room knows nothing of servers; `replication` and `storage` know nothing of accounts.
"""
