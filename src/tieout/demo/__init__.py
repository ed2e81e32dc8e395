"""Complete businesses that fail on purpose, each with an auditor of its own. They import only what users import."""
