"""The pages of configs in parts: their settings as fields, the editor, and one config by itself or beside another."""
