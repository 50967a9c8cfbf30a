"""The test kit: play a plugin, a fake clock, simulators of the platforms, the conformance suite."""
