"""The flow and its tenant, as the tests of the dataflows have them."""

from tests.dataflows.conftest import hub

__all__ = ["hub"]
