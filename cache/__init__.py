"""Stored answers: bytes in, bytes out; a leaf package that knows no chat, no key and no price."""
