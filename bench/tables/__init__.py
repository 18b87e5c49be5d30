"""The tables of a paper: our studies beside published figures, as Markdown, CSV and LaTeX."""
