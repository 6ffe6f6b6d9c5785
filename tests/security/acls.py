"""The ACLs of docs/security.md, as Kafka takes them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import (  # type: ignore[attr-defined] # its imports are its exports
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "security.md"
_HEADER: Final = "| part | resource | name | operations | for |"
_OPERATIONS: Final = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}
_RESOURCES: Final = {"Topic": ResourceType.TOPIC, "Group": ResourceType.GROUP}


@dataclass(frozen=True, slots=True)
class Acl:
    """One operation that a part may do on a resource, as the document names it."""

    part: str
    resource: str
    name: str
    operation: str

    def binding(self, prefix: str) -> AclBinding:
        """Return it for a prefix of topics; the user has the name of the part."""
        is_prefixed = self.name.endswith("*")
        return AclBinding(
            _RESOURCES[self.resource],
            prefix + self.name.removesuffix("*"),
            ResourcePatternType.PREFIXED if is_prefixed else ResourcePatternType.LITERAL,
            f"User:{self.part}",
            "*",
            _OPERATIONS[self.operation],
            AclPermissionType.ALLOW,
        )


def documented() -> list[Acl]:
    """Return every ACL of the document."""
    return list(_rows(DOCUMENT.read_text()))


def _rows(text: str) -> Iterator[Acl]:
    lines = text[text.index(_HEADER) :].splitlines()[2:]
    for line in lines:
        if not line.startswith("|"):
            return
        part, resource, names, operations, _ = (cell.strip() for cell in line[1:-1].split("|"))
        for name in re.findall(r"`([^`]+)`", names):
            for operation in operations.split(", "):
                yield Acl(part, resource, name, operation)


PARTS: Final = tuple(dict.fromkeys(acl.part for acl in documented()))
