"""report.html: one self-contained page that says what a run found out."""

from .build import write_page

__all__ = ["write_page"]
