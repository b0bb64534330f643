"""The start page: the base URL and calls that are ready to paste."""

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
_PYTHON = """\
import os
from openai import OpenAI

client = OpenAI(
    base_url="{base}",
    api_key=os.environ["WATCHLLM_KEY"],
)
reply = client.chat.completions.create(
    model="gpt-4",
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(reply.choices[0].message.content)
"""
_NODE = """\
import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{base}",
  apiKey: process.env.WATCHLLM_KEY,
}});
const reply = await client.chat.completions.create({{
  model: "gpt-4",
  messages: [{{ role: "user", content: "Hello!" }}],
}});
console.log(reply.choices[0].message.content);
"""
SNIPPETS = (("curl", _CURL), ("Python", _PYTHON), ("Node.js", _NODE))

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
<h1>One address for every model you use.</h1>
<p>Point any OpenAI client here. Calls reach OpenAI, Anthropic, Groq, OpenRouter or your own servers, and each one is \
metered to the picodollar.</p>
</div>
<dl class="base sheet"><dt>Base URL</dt><dd><code>{base}</code></dd></dl>
<div class="tabs sheet">{tabs}</div>
<p class="hint">The first start printed two keys. <code>lgw_test_…</code> is answered by the sandbox, free and without \
any provider; <code>lgw_proj_…</code> reaches your providers. Make more with \
<code>watchllm keys create --project NAME</code>.</p>
<div class="cards">
<a class="sheet" href="/docs"><strong>Reference</strong><span>Every endpoint, parameter and reply.</span></a>
<a class="sheet" href="/schema/openapi.json"><strong>OpenAPI</strong><span>The same as a document for tools.</span></a>
<a class="sheet" href="/health"><strong>Health</strong><span>The state of the database and of Redis.</span></a>
</div>
</main>
<footer>WatchLLM {version}</footer>
</div>"""


def render_welcome(*, base_url: str, version: str, look: str) -> bytes:
    """Write the start page; ``base_url`` ends in /v1 and may come from a Host header."""
    body = _BODY.format(logo=LOGO, base=escape(base_url), version=escape(version), tabs=_tabs(base_url))
    return write_page(title="WatchLLM", body=body, look=look)


def _tabs(base_url: str) -> str:
    """Radio buttons as tabs: they need no script and obey the arrow keys."""
    buttons = "".join(
        f'<input type="radio" name="language" id="tab-{n}"{" checked" if n == 0 else ""}>'
        f'<label for="tab-{n}">{escape(name)}</label>'
        for n, (name, _) in enumerate(SNIPPETS)
    )
    return buttons + "".join(f"<pre><code>{colour(text.format(base=base_url))}</code></pre>" for _, text in SNIPPETS)


def colour(code: str) -> str:
    """Escape a snippet and mark its strings and keywords."""
    parts: list[str] = []
    end = 0
    for match in _TOKEN.finditer(code):
        parts += (escape(code[end : match.start()]), f'<span class="{match.lastgroup}">{escape(match[0])}</span>')
        end = match.end()
    return "".join((*parts, escape(code[end:])))
