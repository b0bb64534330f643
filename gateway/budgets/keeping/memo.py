"""What a hold in Redis says: whose it is, and the row that its call becomes if nothing more is heard of it."""

import msgspec

from gateway.ledger.row import UsageRow

# An identifier as gateway.ids makes them.
OWNER_BYTES = 26
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(UsageRow)


def write_memo(owner: str, doubt: UsageRow) -> bytes:
    """Begin with the process, so that its holds are found by it."""
    return owner.encode() + _encoder.encode(doubt)


def read_memo(memo: bytes) -> UsageRow:
    """Read the row. Raises msgspec.MsgspecError."""
    return _decoder.decode(memo[OWNER_BYTES:])
