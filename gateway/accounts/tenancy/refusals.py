"""Why a person's wish is not carried out; a surface maps each kind to its own status and code."""

import enum


class RefusalKind(enum.Enum):
    """A reason; the value tells when it is used."""

    INVALID = "a field breaks its rule; param names the field"
    TAKEN = "another person has this e-mail address or username; param names the field"
    SIGN_UP_CLOSED = "new people need an invitation"
    WRONG_CREDENTIALS = "the e-mail address is unknown or the password is wrong, and which of the two is not told"
    VOID = "a session or a refresh token is unknown, used or over: only signing in anew helps"
    NOT_ALLOWED = "the person's role does not permit it"
    NOT_FOUND = "there is no such thing that this person may know of"
    CONFLICT = "what is asked for is so already"
    LAST_OWNER = "an account keeps at least one owner"


class Refusal(Exception):
    """A wish that is not carried out; nothing was changed. The message holds no secret and says what to do."""

    def __init__(self, kind: RefusalKind, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        # The field at fault, by the name that surfaces give it.
        self.param = param
