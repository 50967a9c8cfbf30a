"""What an adapter says of itself."""

import dataclasses

from dragoman import adapters
from dragoman.testing.suite.subject import Subject


class IdentityTests(Subject):
    """Its name, capabilities and settings are whole and agree with one another."""

    def test_the_adapter_keeps_the_contract(self) -> None:
        """Nothing abstract is left, and the class says what platform it is."""
        assert adapters.check(type(self.adapter)) is type(self.adapter)
        assert self.adapter.platform
        assert self.adapter.title

    def test_these_settings_are_accepted(self) -> None:
        """The suite's own account could start."""
        assert list(self.adapter.check()) == []

    def test_the_capabilities_agree_with_the_account(self) -> None:
        """It can say something of some length, and receives in a way that it declares."""
        capabilities = self.adapter.capabilities
        assert "say" in capabilities.actions
        assert capabilities.max_text > 0
        assert self.adapter.mode() in capabilities.modes

    def test_every_setting_is_explained(self) -> None:
        """The reference, the schema and the console are made from these texts."""
        silent = [field.name for field in dataclasses.fields(self.adapter) if not field.metadata.get("help")]
        assert silent == [], f"settings without a meaning: {silent}"
