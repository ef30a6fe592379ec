"""Decides about code that comes with models of the Hub: it runs only where an operator approved the very commit."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select
from tunebus.contracts.commands import ApproveRemoteCode
from tunebus.contracts.events import RemoteCodeApproved
from tunebus.contracts.identifiers import new_id
from tunebus.contracts.subjects import MODEL
from tunebus.projections.tables import remote_code_approvals
from tunebus.services.platform.decisions import Accepted, Decision
from tunebus.services.registry.decision import happened
from tunebus.services.registry.known import Known
from tunebus.services.registry.wanted import Wanted


def refer_approve(_wanted: Wanted, _facts: object, _command: ApproveRemoteCode) -> None:
    """It asks for nothing: approving twice is two events of the same meaning."""


def approve(_known: Known, _facts: None, command: ApproveRemoteCode) -> Decision:
    approval_id = new_id()
    event = RemoteCodeApproved(
        huggingface_name=command.huggingface_name, revision=command.revision, reason=command.reason
    )
    return Accepted((happened(MODEL, approval_id, event),), id=approval_id)


def approved_commits(connection: Connection, huggingface_name: str) -> Sequence[str]:
    """The commits of a repository whose code may run."""
    table = remote_code_approvals
    return list(connection.scalars(select(table.c.revision).where(table.c.huggingface_name == huggingface_name)))
