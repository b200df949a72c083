"""Classes of anybody's under seeds and under chaos, with a checker that knows nothing but the class.

    wanted         one call that a client wants, and how it is written
    conversations  what one client does, call after call: its workload
    any_calls      the workload of whoever writes none: anything that the annotations allow
    found          a class, its workload and its model by their names
    outcomes       what came of a call, as a client sees it
    by_itself      the class, or a plain one in its place, with nothing of ours around it
    order_check    whether a class goes by the order of rows that has none
    plain_objects  a plain object that stands for one
    plain_services a plain model of several
    together       several classes likewise, which call each other
    plain_runs     one method run so; the rows and attributes that are left
    call_check     a journal of calls against that, and what clients were told
    known_versions what could be called in the versions that a state can have had
    releases       which code servers are given, one release after the other
    named_releases the same as files name it, for real servers
    simulated      a class as what the simulator replicates
    judging        the verdict over calls, the journal, and the state that is left
    calling        a process of clients, for chaos: of one service, or of several of a pair
    call_history   what those asked and were told, in files
    service_disks  what stopped servers of a service have on their disks
    run_judge      who judges a run of chaos with a class, or with several
    made_up        classes that are made up from a seed
    made_up_versions  how they are changed, from version to version
    made_up_pair   two of them that call each other
    made_up_several  two or three that do, and are changed
    seeds          the world of one of those

Rule: who judges here uses nothing of how a server runs a class, undoes it, or tells what came of it.
"""
