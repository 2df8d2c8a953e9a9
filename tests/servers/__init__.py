"""Tests of the servers of `deploy.local`: the real ones, started and stopped for each test."""
