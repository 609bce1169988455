# SPDX-License-Identifier: Apache-2.0
"""The other machine's half of pairing, with a key of the test's choice."""

import base64
import json

import zmq

from server.commands.pairing import Invitation, PairingError, ServerFacts


def invitation_of(code: str) -> Invitation:
    """The invitation that a code was made of."""
    front, _, letters = code.strip().rpartition(":")
    host, _, port = front.rpartition(":")
    return Invitation(host, int(port), base64.b32decode(letters.upper() + "=" * (-len(letters) % 8)))


def redeem(invitation: Invitation, public: str, seconds: float = 10.0) -> ServerFacts:
    """Hand in a public key, get the server's facts. PairingError: the server says no, or nothing at all."""
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.linger = 0
        socket.curve_serverkey = invitation.keys()[0]
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.connect(f"tcp://{invitation.host}:{invitation.port}")
        socket.send(json.dumps({"public": public}).encode())
        if not socket.poll(round(seconds * 1000)):
            raise PairingError("The other machine does not answer: the code is wrong, was used, or is too old.")
        content = json.loads(socket.recv())
    finally:
        socket.close()
        context.term()
    if "error" in content:
        raise PairingError(content["error"])
    ports = (content["ctl_port"], content["bulk_port"])
    return ServerFacts(tuple(content["protocol"]), content["host"], *ports, content["server_public"])
