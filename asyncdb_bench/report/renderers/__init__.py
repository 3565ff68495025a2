"""A document -> HTML, Markdown, JSON, the terminal's text: a module each. They compute nothing."""
