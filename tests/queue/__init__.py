"""Tests of what happens on and around the queue, with messages made by hand."""
