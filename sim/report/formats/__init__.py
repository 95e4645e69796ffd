"""A page in every format: HTML, PDF, Markdown, JUnit, JSON, tables."""
