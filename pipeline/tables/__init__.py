"""The paper's tables: what is trained for them, its scores over seeds, and the pages, beside the published numbers."""
