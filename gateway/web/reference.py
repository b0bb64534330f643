"""The reference page: an OpenAPI document as HTML that works offline and without a script."""

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any, cast

from gateway.web.document import Document
from gateway.web.frame import LOGO, write_page
from gateway.web.welcome import colour

VERBS = ("get", "post", "put", "patch", "delete")
_MAX_DEPTH = 4
_UNTAGGED = "Gateway"
_CODE = re.compile(r"`([^`]+)`")


def render_reference(*, document: Document, look: str) -> bytes:
    """Write the whole reference: a side bar, a section a tag, a sheet an operation, and the schemas."""
    info = document["info"]
    groups = _groups(document)
    schemas: Document = document.get("components", {}).get("schemas", {})
    side = "".join(_side_group(name, operations) for name, operations in groups.items()) + _side_schemas(schemas)
    notes = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    main = "".join(_group(name, notes.get(name, ""), operations, document) for name, operations in groups.items())
    body = (
        f'<div class="reference"><nav class="side" aria-label="Endpoints"><a class="brand" href="/">{LOGO}WatchLLM</a>'
        f'{side}</nav>\n<main class="body"><h1>{_text(info["title"])} reference</h1>'
        f"<p>{_text(info.get('description', ''))}</p>"
        f'<p class="soft">Version {_text(info["version"])}, made from <a href="/schema/openapi.json">the OpenAPI '
        f"document</a>.</p>{_security(document)}{main}{_schema_group(schemas, document)}</main></div>"
    )
    return write_page(title=f"{info['title']} reference", body=body, look=look)


def _groups(document: Document) -> dict[str, list[tuple[str, str, Document]]]:
    """Sort operations by their first tag, in the order in which tags are declared, then met."""
    groups: dict[str, list[tuple[str, str, Document]]] = {tag["name"]: [] for tag in document.get("tags", ())}
    for path, item in document.get("paths", {}).items():
        for verb in VERBS:
            if verb in item:
                tags = item[verb].get("tags") or (_UNTAGGED,)
                groups.setdefault(tags[0], []).append((verb, path, item[verb]))
    return {name: operations for name, operations in groups.items() if operations}


def _side_group(name: str, operations: list[tuple[str, str, Document]]) -> str:
    links = "".join(
        f'<li><a href="#{_anchor(verb, path)}"><span class="verb {verb}">{verb.upper()}</span>'
        f"<span>{_text(operation.get('summary', path))}</span></a></li>"
        for verb, path, operation in operations
    )
    return f"<h2>{_text(name)}</h2><ul>{links}</ul>"


def _side_schemas(schemas: Document) -> str:
    links = "".join(f'<li><a href="#schema-{_attr(name)}"><span>{_text(name)}</span></a></li>' for name in schemas)
    return f"<h2>Schemas</h2><ul>{links}</ul>" if links else ""


def _security(document: Document) -> str:
    schemes = document.get("components", {}).get("securitySchemes", {})
    notes = "".join(f"<p>{_text(scheme.get('description', name))}</p>" for name, scheme in schemes.items())
    return f'<section class="group intro"><h2>Authentication</h2>{notes}</section>' if notes else ""


def _group(name: str, note: str, operations: list[tuple[str, str, Document]], document: Document) -> str:
    sheets = "".join(_operation(verb, path, operation, document) for verb, path, operation in operations)
    intro = f'<div class="intro"><p>{_text(note)}</p></div><br>' if note else ""
    return f'<section class="group"><h2>{_text(name)}</h2>{intro}{sheets}</section>'


def _operation(verb: str, path: str, operation: Document, document: Document) -> str:
    anchor = _anchor(verb, path)
    return (
        f'<article class="operation sheet" id="{anchor}">'
        f'<h3><span class="verb {verb}">{verb.upper()}</span><a href="#{anchor}">{_text(path)}</a></h3>'
        f'<p class="summary">{_text(operation.get("summary", ""))}</p>'
        f"{_paragraphs(operation.get('description', ''))}"
        f"{_parameters(operation, document)}{_request(operation, document)}{_responses(operation, document)}</article>"
    )


def _parameters(operation: Document, document: Document) -> str:
    found = [_follow(parameter, document) for parameter in operation.get("parameters", ())]
    rows = "".join(
        _row(f"{item['name']}", item.get("schema", {}), f"{item.get('description', '')}", bool(item.get("required")))
        for item in found
    )
    places = ", ".join(dict.fromkeys(str(item["in"]) for item in found))
    return f"<h4>Parameters in {_text(places)}</h4><table>{rows}</table>" if rows else ""


def _request(operation: Document, document: Document) -> str:
    content = _follow(operation.get("requestBody", {}), document).get("content", {})
    return "".join(f"<h4>Body, {_text(media)}</h4>{_content(body, document)}" for media, body in content.items())


def _responses(operation: Document, document: Document) -> str:
    parts = [_response(str(status), raw, document) for status, raw in operation.get("responses", {}).items()]
    return f"<h4>Responses</h4>{''.join(parts)}" if parts else ""


def _response(status: str, raw: Document, document: Document) -> str:
    response = _follow(raw, document)
    headers = {name: _follow(header, document) for name, header in response.get("headers", {}).items()}
    rows = "".join(_row(name, item.get("schema", {}), item.get("description", "")) for name, item in headers.items())
    inside = "".join(
        f"<h4>{_text(media)}</h4>{_content(body, document)}" for media, body in response.get("content", {}).items()
    ) + (f"<h4>Headers</h4><table>{rows}</table>" if rows else "")
    mark = "" if status.startswith("2") else " bad"
    summary = f'<span class="status{mark}">{_text(status)}</span><span>{_text(response.get("description", ""))}</span>'
    return f"<details><summary>{summary}</summary><div>{inside}</div></details>"


def _content(body: Document, document: Document) -> str:
    schema = body.get("schema", {})
    named = _name(schema)
    link = f'<p class="soft"><a href="#schema-{_attr(named)}">{_text(named)}</a></p>' if named else ""
    example = body.get("example")
    figure = f'<h4>Example</h4><figure class="example"><pre><code>{_json(example)}</code></pre></figure>'
    return link + _properties(schema, document) + (figure if example is not None else "")


def _properties(schema: Document, document: Document, depth: int = 0) -> str:
    """Write a schema's fields as a table, the fields of inline objects below their own."""
    whole = _follow(schema, document)
    if not whole.get("properties"):
        words = _text(whole.get("description", ""))
        return f'<table><tr><td><span class="type">{_type(whole)}</span></td><td>{words}</td></tr></table>'
    return f"<table>{''.join(_field_rows(whole, '', depth))}</table>"


def _field_rows(schema: Document, prefix: str, depth: int) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield _row(prefix + name, field, field.get("description", ""), name in required)
        if depth < _MAX_DEPTH and field.get("properties"):
            yield from _field_rows(field, f"{prefix}{name}.", depth + 1)


def _row(name: str, schema: Document, description: str, required: bool = False) -> str:
    must = '<span class="must">required</span>' if required else ""
    notes = [description] if description else []
    if "enum" in schema:
        notes.append("One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".")
    if schema.get("default") is not None:
        notes.append(f"Default `{json.dumps(schema['default'])}`.")
    words = "".join(f"<p>{_text(note)}</p>" for note in notes)
    return (
        f'<tr><td><code>{_text(name)}</code>{must}</td><td><span class="type">{_type(schema)}</span>{words}</td></tr>'
    )


def _type(schema: Document) -> str:
    """Name a schema's type; a named schema becomes a link."""
    if named := _name(schema):
        return f'<a href="#schema-{_attr(named)}">{_text(named)}</a>'
    for union in ("oneOf", "anyOf", "allOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(_type(choice) for choice in schema[union]))
    kind = schema.get("type", "const" if "const" in schema else "any")
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    words = " or ".join(cast("list[str]", kind)) if isinstance(kind, list) else str(kind)
    return _text(f"{words} ({schema['format']})" if "format" in schema else words)


def _schema_group(schemas: Document, document: Document) -> str:
    sheets = "".join(
        f'<article class="operation sheet" id="schema-{_attr(name)}"><h3>{_text(name)}</h3>'
        f"{_paragraphs(schema.get('description', ''))}{_properties(schema, document)}</article>"
        for name, schema in schemas.items()
    )
    return f'<section class="group"><h2>Schemas</h2>{sheets}</section>' if sheets else ""


def _follow(node: Document, document: Document) -> Document:
    """Replace a reference by what it names; one that leads nowhere gives an empty node."""
    if "$ref" not in node:
        return node
    found: Any = document
    for part in str(node["$ref"]).removeprefix("#/").split("/"):
        found = found.get(part, {})
    return cast("Document", found)


def _name(schema: Document) -> str:
    return str(schema["$ref"]).rpartition("/")[2] if "$ref" in schema else ""


def _anchor(verb: str, path: str) -> str:
    return _attr(f"{verb}{re.sub(r'[^A-Za-z0-9]+', '-', path).rstrip('-')}")


def _attr(text: str) -> str:
    return escape(text, quote=True)


def _text(text: str) -> str:
    """Escape prose and set what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(str(text)))


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(part.strip())}</p>" for part in text.split("\n\n") if part.strip())


def _json(value: object) -> str:
    return colour(json.dumps(value, indent=2, ensure_ascii=False))
