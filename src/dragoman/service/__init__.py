"""The composition root: configuration to store, client and loops, and the orderly stop."""
