"""The keepers of the view: what a server may ask of one (`Coordinator`), and the witness that is one.

coordinator     the three verbs
succession      which view may follow which: pure
view_store      the witness's disk
witness         the remote object
witness_client  a server's side of it
restore         what to do when the witness lost its disk
"""
