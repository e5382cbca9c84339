"""The first program of the page on embedding."""

from pathlib import Path

from support.pages import blocks

PAGE = Path(__file__).parent.parent.parent / "docs" / "embedding.md"


def test_the_first_program_has_at_most_ten_lines():
    """It is run with the rest of the page, in `test_docs`."""
    first = next(block for block in blocks(PAGE.read_text("utf-8")) if block.kind == "python")
    assert first.not_run is None
    assert "tp.optimize(" in first.text
    assert len(first.text.splitlines()) <= 10
