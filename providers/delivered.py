"""What a stream has said so far, for an estimate of its tokens: text up to a bound, beyond it only the length."""

MAX_KEPT_CHARS = 524_288
# So many small pieces are joined into one: a short string costs ten times its text.
MAX_PIECES = 1_024


class Delivered:
    """Collects what was produced; memory stays bounded however long the stream is."""

    __slots__ = ("_kept_chars", "_pieces", "unkept_chars")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._kept_chars = 0
        # Characters that were said after the bound was reached.
        self.unkept_chars = 0

    @property
    def has_any(self) -> bool:
        """Whether anything was said."""
        return bool(self._pieces)

    @property
    def chars(self) -> int:
        """How many characters were said."""
        return self._kept_chars + self.unkept_chars

    def add(self, pieces: list[str]) -> None:
        """Note what was said."""
        if not pieces:
            return
        text = "".join(pieces)
        chars = self._kept_chars + len(text)
        if chars > MAX_KEPT_CHARS:
            for piece in pieces:
                if self._kept_chars > MAX_KEPT_CHARS:
                    self.unkept_chars += len(piece)
                else:
                    self._kept_chars += len(piece)
                    self._pieces.append(piece)
            return
        self._kept_chars = chars
        self._pieces.append(text)
        if len(self._pieces) > MAX_PIECES:
            self._pieces = ["".join(self._pieces)]

    def say(self, text: str) -> None:
        """Note one text, as ``add`` does."""
        chars = self._kept_chars + len(text)
        if chars > MAX_KEPT_CHARS or len(self._pieces) >= MAX_PIECES:
            self.add([text])
            return
        self._kept_chars = chars
        self._pieces.append(text)

    def text(self) -> str:
        """All that was kept."""
        return "".join(self._pieces)
