"""The straight line: receive, listen, work, deliver, tick; and the one way out into the network."""
