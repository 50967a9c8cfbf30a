"""Everything Dragoman raises on purpose.

DragomanError
├── ConfigError        the configuration is wrong: source, key, reason, remedy
├── Forged             the request is not the platform's: 401, nothing is stored
│   ├── UnknownKey     signed with a key that we have not fetched yet
│   └── Stale          genuine, but signed at another time than ours
├── Malformed          authentic, but not understood
│   └── Undecodable    not even JSON, or nested too deep: 400
├── TooLarge           more bytes than we accept: 413
├── NoAnswer           a request of ours got no answer (`sent` tells whether it left)
├── CredentialRefused  a platform grants us no token: the account needs its operator
├── PluginError        a plugin cannot be loaded, or broke its contract
│   └── BadArguments   a person's words do not fit a command; the text is told to them
├── TaskRefused        a recurring task cannot be changed in this way
├── MediaRefused       a file that may not be fetched or is too large
├── Held               a person of whom nothing may be deleted
├── Unreachable        no message that answers nothing can go to this address
├── ArchiveError
│   ├── ArchiveAway    object storage does not answer, or refuses: try again later
│   ├── ArchiveMissing there is no such object, or nothing to restore from
│   └── ArchiveDamaged an object is not what was written
└── StoreError
    ├── StoreAway      the store cannot commit now: 503, the platform retries
    │   └── Crowded    too much of one conversation waits; nothing of it was accepted
    ├── Unstorable     a value that the database cannot hold: trying again changes nothing
    ├── StoreRefused   the database does not let us in: wrong name, password or database
    ├── StoreLocked    another service owns the file
    ├── StoreDamaged   the file fails its integrity check, or a copy into it was not ended
    │   └── StoreForeign   its schema cannot be ours: a newer release changed it for good
    └── LostLease      the claim was taken over; nothing of it was committed
"""


class DragomanError(Exception):
    """The root: catch this to catch all that Dragoman raises on purpose."""


class ConfigError(DragomanError):
    """A setting is wrong; says where it stands, why it is refused and what would be right."""

    def __init__(self, source: str, key: str, reason: str, hint: str = "") -> None:
        """Name the file or variable, the dotted key, the reason and a remedy."""
        super().__init__(source, key, reason, hint)
        self.source = source
        self.key = key
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        """Give the one line that an operator reads."""
        where = f"{self.source}: {self.key}" if self.key else self.source
        return f"{where}: {self.reason}" + (f" ({self.hint})" if self.hint else "")


class Forged(DragomanError):
    """The request carries no valid proof that it is the platform's."""


class UnknownKey(Forged):
    """The proof names a key that is not known yet; fetch the trusted keys once and verify again."""


class Stale(Forged):
    """The proof is genuine, but its time is too far from ours: it is replayed, or a clock is wrong."""

    def __init__(self, reason: str, skew: float) -> None:
        """Say why, and by how many seconds our clock is ahead."""
        super().__init__(reason)
        self.skew = skew


class Malformed(DragomanError):
    """The bytes are authentic, but they are not what the platform documents."""


class Undecodable(Malformed):
    """The bytes are not the encoding that they should be, or nested too deep to read."""


class TooLarge(DragomanError):
    """More bytes, or deeper nesting, than is accepted at the door."""


class NoAnswer(DragomanError):
    """No answer came to a request of ours."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        """Say why, and whether the request may have reached the other side."""
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


class CredentialRefused(DragomanError):
    """The platform refuses to grant a token for these credentials."""

    def __init__(self, reason: str, workspace: str = "") -> None:
        """Say why, and which workspace alone is concerned (empty: the whole account)."""
        super().__init__(reason)
        self.workspace = workspace


class PluginError(DragomanError):
    """A plugin could not be loaded, or broke the plugin contract."""


class BadArguments(PluginError):
    """The words after a command do not fit it."""


class TaskRefused(DragomanError):
    """What was asked of a recurring task cannot be done; says why, and what can be done instead."""


class MediaRefused(DragomanError):
    """A file could not be fetched: refused, too large, or not where it may be fetched from."""


class Held(DragomanError):
    """A person of whom nothing may be deleted; says why."""


class Unreachable(DragomanError):
    """A message that answers nothing cannot go to this address; says why."""


class ArchiveError(DragomanError):
    """Object storage, or what is kept there, cannot serve."""


class ArchiveAway(ArchiveError):
    """Object storage does not answer, or refuses; it may do so later."""


class ArchiveMissing(ArchiveError):
    """There is no such object."""


class ArchiveDamaged(ArchiveError):
    """An object's bytes are not those that were written."""


class StoreError(DragomanError):
    """The root of what the store raises."""


class StoreAway(StoreError):
    """The store cannot commit now; nothing was accepted."""


class Crowded(StoreAway):
    """Too many messages of one conversation wait; what is more has to come again."""


class Unstorable(StoreError):
    """A value that the database cannot hold; trying again changes nothing."""


class StoreRefused(StoreError):
    """The database does not let us in, and will not by itself."""


class StoreLocked(StoreError):
    """Another service already runs on this store."""


class StoreDamaged(StoreError):
    """The database fails its integrity check, or a copy into it was not ended."""


class StoreForeign(StoreDamaged):
    """The database's schema cannot be ours: a newer release changed it for good, or a build that was none."""


class LostLease(StoreError):
    """The claim's fence is no longer the conversation's: someone else has it now."""
