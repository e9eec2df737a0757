"""Captions: speech to words, words to cues, cues to WebVTT and back. No web, no tables, no storage."""
