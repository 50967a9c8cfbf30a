"""The dialog engine: who handles an event, and what a turn wants done. It does no I/O of its own."""
