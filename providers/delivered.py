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
        if pieces:
            self.say("".join(pieces))

    def say(self, text: str) -> None:
        """Note one text."""
        chars = self._kept_chars + len(text)
        if chars > MAX_KEPT_CHARS:
            self.unkept_chars += chars - MAX_KEPT_CHARS
            text, chars = text[: MAX_KEPT_CHARS - self._kept_chars], MAX_KEPT_CHARS
            if not text:
                return
        self._kept_chars = chars
        self._pieces.append(text)
        if len(self._pieces) > MAX_PIECES:
            self._pieces = ["".join(self._pieces)]

    def text(self) -> str:
        """All that was kept."""
        return "".join(self._pieces)
