"""Who may come in: gateways that want bearer tokens, with an issuer of the tests' own."""
