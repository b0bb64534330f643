// Writes the API's types from its OpenAPI document: node types.mjs openapi.json schema.d.ts
import { readFileSync, writeFileSync } from "node:fs";

const VERBS = ["get", "post", "put", "patch", "delete"];
const [, , source, target] = process.argv;
const document = JSON.parse(readFileSync(source, "utf8"));

const isName = (text) => /^[A-Za-z_$][\w$]*$/.test(text);
const quoted = (text) => (isName(text) ? text : JSON.stringify(text));
const last = (reference) => reference.split("/").at(-1);

/** The type of a schema; what has no shape (an exact amount, say) is unknown and must be read with care. */
function typeOf(schema) {
  if (!schema) return "unknown";
  if (schema.$ref) return last(schema.$ref);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return [...new Set(choices.map(typeOf))].join(" | ");
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type })).join(" | ");
  switch (schema.type) {
    case "string":
      return "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "null":
      return "null";
    case "array":
      return `(${typeOf(schema.items)})[]`;
    case "object":
      return objectOf(schema);
    default:
      return "unknown";
  }
}

function objectOf(schema) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties ?? {}).map(
    ([name, field]) => `${quoted(name)}${required.has(name) ? "" : "?"}: ${typeOf(field)};`,
  );
  const more = schema.additionalProperties;
  if (fields.length === 0) return `Record<string, ${typeof more === "object" ? typeOf(more) : "unknown"}>`;
  return `{ ${fields.join(" ")} }`;
}

function contentOf(holder) {
  const body = holder?.content?.["application/json"];
  return body ? typeOf(body.schema) : "undefined";
}

function operationOf(verb, path, operation) {
  const good = Object.entries(operation.responses ?? {}).find(([status]) => status.startsWith("2"))?.[1];
  return `  ${JSON.stringify(`${verb.toUpperCase()} ${path}`)}: { body: ${contentOf(operation.requestBody)}; answer: ${contentOf(good)} };`;
}

const schemas = Object.entries(document.components.schemas).map(
  ([name, schema]) => `export type ${name} = ${typeOf(schema)};`,
);
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  VERBS.filter((verb) => item[verb]).map((verb) => operationOf(verb, path, item[verb])),
);
writeFileSync(
  target,
  `// Written by tools/types.mjs from the gateway's OpenAPI document.\n${schemas.join("\n")}\nexport interface Operations {\n${operations.join("\n")}\n}\n`,
);
