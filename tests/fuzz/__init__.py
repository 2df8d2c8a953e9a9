"""Byte-level, coverage-guided fuzzing: `make fuzz`. What it found is kept here and tested on."""
