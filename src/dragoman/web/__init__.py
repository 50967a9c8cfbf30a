"""What listens: hooks, health, metrics, the chat page, and the control socket of this machine."""
