"""Three copies of the store: itself, snapshots with a log of every change since in a bucket, and the same in another.

    GENERATION/log/SEQUENCE.pages             what changed, each naming the one before it by its checksum
    GENERATION/snapshot/SEQUENCE/begun        empty, and written first: the place takes what is written
    GENERATION/snapshot/SEQUENCE/PART.pages   the whole file after that part of the log
    GENERATION/snapshot/SEQUENCE/manifest.json   written last: what has none is no snapshot

A generation is an unbroken log. It ends where changes were not seen (a crash at the wrong moment, a file that was
exchanged, a bucket that was away for too long); the next one begins with a snapshot.
"""
