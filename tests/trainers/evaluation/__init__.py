"""Tests of feature networks, scores and the evaluate command."""
