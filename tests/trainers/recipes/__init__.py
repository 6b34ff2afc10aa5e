"""Tests of recipes: schema, settings, files, presets."""
