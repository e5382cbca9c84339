"""The JSON Schema of scenario files: what editors complete and check by."""

import json

from .scenario import Scenario

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> str:
    """The schema as indented JSON; `schema.json` beside this file holds the same text."""
    schema = {"$schema": DIALECT, **Scenario.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False)
