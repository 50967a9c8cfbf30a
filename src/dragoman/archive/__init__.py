"""Copies of what must not be lost, in object storage: conversations, and backups of the store."""
