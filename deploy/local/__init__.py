"""The whole product on one Linux machine, without Docker.

`process` is a child process with an identity, `ports` finds ports, `server` is one server process
that starts and stops cleanly. `rabbitmq` and `mongodb` are the two real servers, `install` finds
their programs or installs them. `servers` (make up, make down), `run` (make run) and `demo`
(make demo) are the commands of `python -m deploy.local`. Everything listens on 127.0.0.1 only.
"""
