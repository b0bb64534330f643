"""The claim link, on whose page the first person becomes the installation's operator.

The token stands behind the link's ``#``, which browsers send to nobody: it is in no log and no Referer.
"""

from gateway.config.secret import Secret


def claim_url(base_url: str, token: Secret) -> str:
    """Write the claim link for where browsers find the gateway, such as https://llm.example.org."""
    return f"{base_url.rstrip('/')}/claim#{token.reveal()}"
