"""Presets as plain TOML files; copy one, change it, and give its path to --preset."""
