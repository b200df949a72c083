"""SQLite: the journal, the adopted epoch, the incarnation, and the state machine's tables beside them."""
