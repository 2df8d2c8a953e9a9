"""The commands that speak to a gateway from outside, as any client does: `send` and `query`.

`arguments` is the command line. `retry` says when to try again, `gateway` does it; both commands
use them. `updates` reads the input of `send`, `outbox` makes request bodies of it, `send` and
`query` put it together, and `view` shows an answer to a person.
"""
