"""Undoes gzip and deflate piece by piece, never making more than 64 KiB at a time.

Failure behavior: compressed data that is broken or followed by something else, and an encoding that is not known, are
an InvalidAnswer. Whether a body may end where it did is told by ``whole``; the exchange reports it.
"""

import zlib
from typing import Protocol

from providers.errors import InvalidAnswer

SLICE_BYTES = 65_536
_IDENTITY_NAMES = (b"", b"identity")
# RFC 9110, 8.4.1.3: "x-gzip" is to be read as gzip.
_GZIP_NAMES = (b"gzip", b"x-gzip")
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
# The low half of zlib's first byte names its method, 8; its first two bytes are a multiple of 31 (RFC 1950, 2.2).
_ZLIB_METHOD = 8


class _Engine(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Decoder:
    """Takes compressed bytes with ``push`` and gives them back decoded with ``pull``, slice by slice."""

    __slots__ = ("_engine", "_input", "_is_full", "_is_gzip")

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._input = b""
        self._engine: _Engine | None = None
        # The last slice was cut by its limit, so the engine may hold more.
        self._is_full = False

    def push(self, data: bytes) -> None:
        """Take the next compressed bytes."""
        self._input += data

    def pull(self) -> bytes:
        """Return the next decoded bytes, at most 64 KiB; empty when the input so far is used up."""
        piece = b""
        while not piece and self.pending:
            if self._engine is None or self._engine.eof:
                if not self._is_gzip and len(self._input) == 1:
                    break
                self._engine = self._next_engine()
            try:
                piece = self._engine.decompress(self._input, SLICE_BYTES)
            except zlib.error as error:
                raise InvalidAnswer(f"the compressed body is broken: {error}") from error
            self._is_full = len(piece) == SLICE_BYTES and not self._engine.eof
            self._input = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
        return piece

    @property
    def pending(self) -> bool:
        """Whether ``pull`` may still give something."""
        return self._is_full or bool(self._input)

    @property
    def whole(self) -> bool:
        """Whether a body may end here: after a complete stream, or before its first byte."""
        return not self.pending and (self._engine is None or self._engine.eof)

    def _next_engine(self) -> _Engine:
        """Start on the input: gzip may be several members in a row (RFC 1952, 2.2), deflate is one stream."""
        if self._is_gzip:
            return zlib.decompressobj(_GZIP_WINDOW)
        if self._engine is not None:
            raise InvalidAnswer(f"the compressed body is followed by {len(self._input)} other bytes")
        first, second = self._input[:2]
        is_zlib = first & 0x0F == _ZLIB_METHOD and (first * 256 + second) % 31 == 0
        return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


def choose_decoder(name: bytes) -> Decoder | None:
    """Return what undoes a Content-Encoding in lower case, None for identity; raises InvalidAnswer for any other."""
    if name in _IDENTITY_NAMES:
        return None
    if name in _GZIP_NAMES:
        return Decoder(is_gzip=True)
    if name == b"deflate":
        return Decoder(is_gzip=False)
    raise InvalidAnswer(f"the answer has the content-encoding {name[:64]!r}: only gzip and deflate are read")
