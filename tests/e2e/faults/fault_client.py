# SPDX-License-Identifier: Apache-2.0
"""A client to be killed: submits the harness's job under a given key and says what it hears, a JSON line each."""

import json
import sys
from pathlib import Path

from blender_addon import client as wire
from tests.e2e.server_rig import oracle_job


def say(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def main():
    connection, key = Path(sys.argv[1]), sys.argv[2]
    spec, arrays = oracle_job(steps=50)
    with wire.Client(connection) as client:
        client.submit(spec, arrays, key=key)
        say(submitted=key)
        while True:
            match event := client.events.get(timeout=60.0):
                case wire.JobAccepted():
                    say(job=event.job)
                case wire.JobProgress():
                    say(step=event.step)
                case wire.JobFinished() | wire.JobFailed() | None:
                    # It waits for its end, which comes from outside.
                    say(ended=type(event).__name__)
                case _:
                    pass


if __name__ == "__main__":
    main()
