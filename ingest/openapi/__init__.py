"""What `/openapi.json` says: the API as an OpenAPI 3.1 document.

Nothing is declared here a second time: the body's schema is the one that validates, limits and
codes come from where they are checked and raised. `document.py` puts it together, once, at start.
"""
