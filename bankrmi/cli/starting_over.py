"""Starting over (`up --fresh`): what a bank holds is moved out of the way, and the ledger is opened anew.

Rule 1: nothing is deleted: accounts that somebody may miss are moved into a folder beside them, and named.
Rule 2: nothing is moved while any process uses any of it; until all is moved, no process can begin to.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from bankrmi.config import Configuration
from bankrmi.coordination.keepers import asked_keeper
from bankrmi.errors import OperationFailed
from bankrmi.storage.database import own_directory, sync_directory

__all__ = ["folders_of", "set_aside"]

_IN_USE = "{directory} is in use by the running process {owner}: stop the bank first"


def folders_of(configuration: Configuration) -> list[Path]:
    """Return the folders of the bank that are there, of its servers and of the witness."""
    names = [*configuration.servers, "witness"]
    return [folder for name in names if (folder := configuration.data_dir / name).is_dir()]


def set_aside(configuration: Configuration) -> Path:
    """Move the folders of the bank into a new one, and return that.

    Raises OperationFailed if a process uses one of them, one cannot be moved, or etcd still holds a view:
    that is not ours to delete, and it names disks that nobody would find again.
    """
    if configuration.etcd is not None and asked_keeper(configuration).read() is not None:
        keys = f"{configuration.etcd.prefix}{configuration.service}/"
        raise OperationFailed(
            "etcd still holds the view of this bank, and only the old disks fit to it: delete it first, "
            f"with 'etcdctl del --prefix {keys}', and start over then"
        )
    folders = folders_of(configuration)
    aside = configuration.data_dir / time.strftime("before-%Y%m%d-%H%M%S")
    with ExitStack() as held:
        for folder in folders:
            held.enter_context(own_directory(folder, _IN_USE))
        try:
            aside.mkdir(mode=0o700)
            for folder in folders:
                folder.rename(aside / folder.name)
            sync_directory(aside)
            sync_directory(configuration.data_dir)
        except OSError as error:
            raise OperationFailed(f"{error.filename} cannot be moved to {aside}: {error.strerror}") from error
    return aside
