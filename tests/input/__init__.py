"""Input made by machines, judged by rules written a second time, by hand."""
