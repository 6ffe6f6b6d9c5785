"""Tenants on real services that tests of other packages use, too."""

from tests.dataflows.conftest import hub
from tests.producer.conftest import command, tenant

__all__ = ["command", "hub", "tenant"]
