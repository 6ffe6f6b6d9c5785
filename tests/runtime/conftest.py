"""The tenant on real services that tests of the dataflows use, too."""

from tests.dataflows.conftest import hub

__all__ = ["hub"]
