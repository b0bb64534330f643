"""The page behind the claim link, on which the first person becomes the installation's operator.

The token stands behind the link's ``#``, which browsers send to nobody: it is in no log and no Referer. A script of the
page's own, named by its digest, posts it with the form; nothing else may run, and nothing is loaded from anywhere.
"""

from importlib import resources

from gateway.config.secret import Secret
from gateway.web.frame import LOGO, write_page

_BODY = """\
<div class="start">
<header><a class="brand" href="/">{logo}WatchLLM</a></header>
<main>
<div class="hero">
<p class="state">Gateway running</p>
<h1>Make it yours.</h1>
<p>Whoever fills this in becomes the operator: they see the projects that belong to nobody else, and everybody who \
signs up. The link works once.</p>
</div>
<form id="claim" class="entry sheet">
<label>Name<input name="name" autocomplete="name" maxlength="128"></label>
<label>E-mail address<input name="email" type="email" autocomplete="username" required maxlength="254"></label>
<label>Password<input name="password" type="password" autocomplete="new-password" required minlength="8"></label>
<button>Become the operator</button>
</form>
<p id="told" class="hint" role="status"></p>
<noscript><p class="hint">This page needs its script. Without one, POST <code>/api/v1/auth/register</code> with \
<code>email</code>, <code>password</code> and <code>claim</code>, the part behind the <code>#</code>.</p></noscript>
</main>
</div>
<script>{script}</script>"""


def load_claim_script() -> str:
    """Read the page's script."""
    return resources.files("gateway.web").joinpath("claim.js").read_text(encoding="utf-8")


def render_claim(*, look: str, script: str) -> bytes:
    """Write the page; its script reads the token from the address."""
    return write_page(title="Claim · WatchLLM", body=_BODY.format(logo=LOGO, script=script), look=look)


def claim_url(base_url: str, token: Secret) -> str:
    """Write the claim link for where browsers find the gateway, such as https://llm.example.org."""
    return f"{base_url.rstrip('/')}/claim#{token.reveal()}"
