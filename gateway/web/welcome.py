"""The page that stands in where no dashboard was built: the base URL, a first call, and how to build it."""

import re
from html import escape

from gateway.web.frame import LOGO, write_page

_CURL = """\
curl {base}/chat/completions \\
  -H "Authorization: Bearer $WATCHLLM_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{{
    "model": "gpt-4",
    "messages": [{{"role": "user", "content": "Hello!"}}]
  }}'
"""
_TOKEN = re.compile(
    r"(?P<s>\"[^\"\n]*\"|'[^']*')|(?P<k>\b(?:import|from|const|await|new|print)\b|(?<=\s)-[Hd]\b|^curl\b)", re.MULTILINE
)

_BODY = """\
<div class="start">
<header><a class="brand" href="/">{logo}WatchLLM</a>
<nav aria-label="Pages"><a href="/docs">Reference</a><a href="/schema/openapi.json">OpenAPI</a>\
<a href="/health">Health</a></nav></header>
<main>
<div class="hero">
<p class="state">Gateway running</p>
<h1>The dashboard is not built.</h1>
<p>The API works without it. Run <code>make install</code> in the gateway's folder, where npm's registry can be \
reached, and start the gateway again.</p>
</div>
<dl class="base sheet"><dt>Base URL</dt><dd><code>{base}</code></dd></dl>
<div class="tabs sheet"><pre><code>{call}</code></pre></div>
<p class="hint">The first start printed two keys. <code>lgw_test_…</code> is answered by the sandbox, free and without \
any provider; <code>lgw_proj_…</code> reaches your providers. Make more with \
<code>watchllm keys create --project NAME</code>. Whoever has the claim link becomes the operator by POST \
<code>/api/v1/auth/register</code> with <code>email</code>, <code>password</code> and <code>claim</code>, the part of \
the link behind its <code>#</code>.</p>
</main>
<footer>WatchLLM {version}</footer>
</div>"""


def render_welcome(*, base_url: str, version: str, look: str) -> bytes:
    """Write the page; ``base_url`` ends in /v1 and may come from a Host header."""
    call = colour(_CURL.format(base=base_url))
    body = _BODY.format(logo=LOGO, base=escape(base_url), version=escape(version), call=call)
    return write_page(title="WatchLLM", body=body, look=look)


def colour(code: str) -> str:
    """Escape a snippet and mark its strings and keywords."""
    parts: list[str] = []
    end = 0
    for match in _TOKEN.finditer(code):
        parts += (escape(code[end : match.start()]), f'<span class="{match.lastgroup}">{escape(match[0])}</span>')
        end = match.end()
    return "".join((*parts, escape(code[end:])))
