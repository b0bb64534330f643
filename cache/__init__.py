"""Stored answers, a leaf package: bytes in, bytes out; it knows no chat, no key and no price."""
