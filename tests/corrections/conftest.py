"""What these tests share: the tenant and the flow of the flow's own tests."""

from tests.dataflows.conftest import hub

__all__ = ["hub"]
