"""Dragoman: a self-hosted dialog bot for every chat platform."""
