# SPDX-License-Identifier: Apache-2.0
"""A server in one thread that forgets everything when it ends: enough for the client's own thread."""

import contextlib
import json
import threading
import time

import zmq
from zmq.auth.thread import ThreadAuthenticator

from blender_addon.protocol.codec import Envelope, decode, encode, request_id
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import (
    Accepted,
    Attach,
    BlobNeed,
    BlobOk,
    BlobProgress,
    BlobPut,
    BlobQuery,
    Chunk,
    Get,
    Hello,
    JobState,
    Ping,
    Pong,
    ResultAck,
    Snapshot,
    Submit,
)
from blender_addon.protocol.session_messages import Error
from tests.blender_addon.client.harness import job_info, result_of, sha, state_event, welcome

WINDOW = 1 << 20


class FakeServer:
    """Accepts one job after another; each is finished at once, with the bytes of `result`.

    Args:
        keys: allow-list of client keys; None: all.

    While `refusal` is an error's code, every job is refused with it; `end` is how those end that are taken.
    """

    def __init__(self, connection, *, keys=None, silent=False, result=b"pixels"):
        self.connection = connection
        self.silent = silent
        self.blobs = {}
        self.submitted = []
        self.acknowledged = []
        self.hellos = 0
        self.extra = []
        self.refusal = None
        self.end = JobState.SUCCEEDED
        self.result, store = result_of({"base_color": result})
        self.blobs.update(store)
        self.epoch = request_id()
        self.public, self._secret = (key.decode() for key in zmq.curve_keypair())
        self._context = zmq.Context()
        self._auth = None
        if keys is not None:
            self._auth = ThreadAuthenticator(self._context)
            self._auth.start()
            self._auth.configure_curve_callback("*", Keys(keys))
        self._sockets = [self._bind(), self._bind()]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-server")

    def _bind(self):
        socket = self._context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = self.public.encode(), self._secret.encode()
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        return socket, port

    def start(self, client_keys):
        """Write the connection file and serve."""
        content = {
            "protocol": [1, 0],
            "host": "127.0.0.1",
            "ctl_port": self._sockets[0][1],
            "bulk_port": self._sockets[1][1],
            "server_public": self.public,
            "client_public": client_keys[0],
            "client_secret": client_keys[1],
            "pid": 1,
            "epoch": self.epoch,
        }
        temporary = self.connection.with_suffix(".tmp")
        temporary.write_text(json.dumps(content))
        temporary.chmod(0o600)
        temporary.replace(self.connection)
        self._thread.start()
        return self

    def stop(self):
        """End at once, without a word."""
        self._ending.set()
        self._thread.join()
        if self._auth is not None:
            self._auth.stop()
        self._context.destroy(linger=0)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.stop()

    def _run(self):
        poller = zmq.Poller()
        for socket, _port in self._sockets:
            poller.register(socket, zmq.POLLIN)
        while not self._ending.is_set():
            for socket, _event in poller.poll(20):
                identity, *frames = socket.recv_multipart()
                if not self.silent:
                    self._answer(socket, identity, decode(frames))
        for socket, _port in self._sockets:
            socket.close(linger=0)

    def _answer(self, socket, identity, request):
        for message, buffers in self._replies(request):
            answer = Envelope(message=message, id=request_id(), re=request.id, epoch=self.epoch, buffers=tuple(buffers))
            socket.send_multipart([identity, *encode(answer)])
        while self.extra:
            socket.send_multipart([identity, *self.extra.pop()])

    def _replies(self, request):
        message = request.message
        match message:
            case Hello():
                self.hellos += 1
                yield welcome(), ()
            case Ping():
                yield Pong(n=message.n), ()
            case BlobQuery():
                missing = [sha256 for sha256 in message.hashes if sha(self.blobs.get(sha256, b"\0")) != sha256]
                progress = (BlobProgress(sha256=item, received=len(self.blobs.get(item, b""))) for item in missing)
                yield BlobNeed(missing=tuple(progress)), ()
            case BlobPut():
                data = self.blobs.get(message.sha256, b"") + bytes(request.buffers[0])
                self.blobs[message.sha256] = data
                ok = BlobOk(
                    sha256=message.sha256, received=len(data), complete=len(data) == message.size, window=WINDOW
                )
                yield ok, ()
            case Submit() if self.refusal is not None:
                yield Error(error=WireError(self.refusal, Retry.NEVER, "No.")), ()
            case Submit():
                self.submitted.append(message)
                yield Accepted(message.key, message.key, JobState.QUEUED, 0), ()
            case Attach():
                result = self.result if self.end is JobState.SUCCEEDED else None
                error = WireError(ErrorCode.INTERNAL, Retry.NEVER, "It broke.") if self.end is JobState.FAILED else None
                end = state_event(1, self.end, job=message.job, result=result, error=error)
                yield Snapshot(job_info(message.job, self.end), (end,), result), ()
            case Get():
                data = self.blobs[message.sha256]
                piece = data[message.offset : message.offset + message.length]
                yield Chunk(sha256=message.sha256, offset=message.offset, total=len(data)), (piece,)
            case ResultAck():
                self.acknowledged.append(message.job)
            case _:
                pass


class Keys:
    """An allow-list for pyzmq's authenticator."""

    def __init__(self, allowed):
        self._allowed = allowed

    def callback(self, domain, key):
        return key in self._allowed


def keypair():
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def wait_until(condition, timeout=60.0):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


@contextlib.contextmanager
def serving(connection, keys=None, **options):
    """A server that runs, and the keys of its client."""
    client_keys = keypair()
    with FakeServer(connection, keys=keys, **options).start(client_keys) as server:
        yield server
