"""The tenant on real services that tests of the flow use too."""

from tests.dataflows.conftest import hub

__all__ = ["hub"]
