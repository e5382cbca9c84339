"""The Judge agent: rubrics and forms."""
