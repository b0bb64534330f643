"""What the OpenAPI document says of bodies beyond what the framework reads from their types."""

from typing import Any

import msgspec
from litestar.openapi.spec import Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition


class ClosedStructs(OpenAPISchemaPlugin):
    """Tells of a struct that refuses unknown fields that it has no others; all else is the framework's."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """A struct that says so of itself."""
        if field_definition.is_union or not field_definition.is_subclass_of(msgspec.Struct):
            return False
        kind: Any = field_definition.type_
        return bool(kind.__struct_config__.forbid_unknown_fields)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """The framework's own schema of the struct, closed."""
        framework = next(
            plugin
            for plugin in schema_creator.plugins
            if plugin is not self and schema_creator.plugin_supports_field(plugin, field_definition)
        )
        schema: Schema = framework.to_openapi_schema(field_definition, schema_creator)
        schema.additional_properties = False
        return schema
