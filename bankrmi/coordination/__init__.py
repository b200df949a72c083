"""The keepers of the view: what a server may ask of one (`Coordinator`), and the two that there are.

coordinator     the three verbs
succession      which view may follow which: pure
view_store      the witness's disk
witness         the remote object
witness_client  a server's side of it
etcd            etcd in its place: the three verbs by compare-and-set
etcd_keys       which keys hold what, what is asked of them, and what the answers mean: pure
etcd_members    whichever member answers, within a time, over TLS, with a password
keepers         which of the two a configuration names, for servers and for operators
movable_keeper  the keeper, followed to where it is moved while a server runs
moving          moves the view of a living bank to another keeper
restore         what to do when the keeper lost everything
"""
