"""What becomes of a journal whose process was killed: its files stay as they are, and its locks fall."""

import os

from gateway.ledger.recording.journal import Journal


def kill(journal: Journal) -> None:
    """End everything that keeps the journal's locks, as the operating system does."""
    if journal.active._window is not None:
        # It has a descriptor of its own.
        journal.active._window.close()
    for descriptor in (journal.active.descriptor, journal._tenure, *(orphan.descriptor for orphan in journal.orphans)):
        os.close(descriptor)
