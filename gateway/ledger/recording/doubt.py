"""A call of which nothing more may be heard: what its row says then, with the most that it may cost."""

import msgspec

from gateway.ledger.row import UsageRow


class Doubt(msgspec.Struct, frozen=True, array_like=True):
    """Made, and written to the journal, for each call that money is held for: so much as its row needs, and no more.

    Fields are only ever added at the end and with a default, as a row's are. By position: see UsageRow.
    """

    request_id: str
    created_ns: int
    project_id: str
    key_id: str
    endpoint: str
    model: str
    # Where it was sent first, and the model's name there.
    provider: str
    upstream_model: str
    # The most that its tries may cost.
    cost_pusd: int
    tags: str = ""
    session: str = ""
    is_stream: bool = False
    attempts: int = 1

    def row(self) -> UsageRow:
        """The row that the call becomes."""
        return UsageRow(
            request_id=self.request_id,
            created_ns=self.created_ns,
            project_id=self.project_id,
            key_id=self.key_id,
            endpoint=self.endpoint,
            model=self.model,
            provider=self.provider,
            upstream_model=self.upstream_model,
            status="in_doubt",
            is_stream=self.is_stream,
            is_estimated=True,
            cost_pusd=self.cost_pusd,
            cost_basis="bound",
            attempts=self.attempts,
            tags=self.tags,
            session=self.session,
        )
