# SPDX-License-Identifier: Apache-2.0
"""A second client, written from PROTOCOL.md alone: python minimal_client.py CONNECTION_JSON OUT_DIRECTORY."""

import hashlib
import json
import pathlib
import secrets
import struct
import sys
import time
import zlib
from typing import Any

import msgpack
import zmq

Fields = dict[str, Any]


class Client:
    def __init__(self, path: pathlib.Path) -> None:
        if sys.platform != "win32" and path.stat().st_mode & 0o077:
            raise PermissionError("others can read the connection file")
        file: Fields = json.loads(path.read_text("utf-8"))
        self.channels = {name: self.connect(file, file[f"{name}_port"]) for name in ("ctl", "bulk")}
        self.pinged = time.monotonic()
        self.heard = dict.fromkeys(self.channels, self.pinged)
        self.waiting: list[tuple[Fields, bytes]] = []  # header, joined buffers
        self.session: str | None = None
        for name in self.channels:
            hello: Fields = {"protocols": [[1, 0]], "client": "minimal", "session": self.session}
            self.session = self.ask(name, "HELLO", hello)[0]["session"]

    def connect(self, file: Fields, port: int) -> zmq.Socket[bytes]:
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger = 1000  # BYE and CREDIT have no answer: give them the time to leave
        socket.curve_serverkey = file["server_public"].encode()
        socket.curve_publickey = file["client_public"].encode()
        socket.curve_secretkey = file["client_secret"].encode()
        socket.connect(f"tcp://{file['host']}:{port}")
        return socket

    def send(self, channel: str, kind: str, body: Fields, *buffers: bytes) -> str:
        header: Fields = {"v": [1, 0], "t": kind, "id": secrets.token_hex(16), "re": None, "sid": self.session}
        header |= {"ep": None, "body": body, "bufs": [len(buffer) for buffer in buffers]}
        self.channels[channel].send_multipart([b"TXP1", msgpack.packb(header, use_bin_type=True), *buffers])
        return str(header["id"])

    def receive(self) -> None:
        if time.monotonic() - self.pinged > 2:
            self.pinged = time.monotonic()
            for name in self.channels:
                self.send(name, "PING", {"n": 1})
        for name, socket in self.channels.items():
            if socket.poll(20):
                _, header, *buffers = socket.recv_multipart()
                self.waiting.append((msgpack.unpackb(header, raw=False), b"".join(buffers)))
                self.heard[name] = time.monotonic()
            elif time.monotonic() - self.heard[name] > 6:
                raise ConnectionError(f"nothing came on {name} for 6 s")

    def ask(self, channel: str, kind: str, body: Fields, *buffers: bytes) -> tuple[Fields, bytes]:
        request = self.send(channel, kind, body, *buffers)
        while not (found := [message for message in self.waiting if message[0]["re"] == request]):
            self.receive()
        self.waiting.remove(found[0])
        if found[0][0]["t"] in ("ERROR", "REJECT"):
            raise RuntimeError(f"{kind}: {found[0][0]['body']['error']}")
        return found[0][0]["body"], found[0][1]

    def upload(self, blobs: dict[str, bytes]) -> None:
        for entry in self.ask("bulk", "BLOB_QUERY", {"hashes": list(blobs)})[0]["missing"]:
            name, at, complete = entry["sha256"], entry["received"], False
            while not complete:
                body = {"sha256": name, "size": len(blobs[name]), "offset": at}
                answer, _ = self.ask("bulk", "BLOB_PUT", body, blobs[name][at : at + 262144])
                at, complete = answer["received"], answer["complete"]

    def download(self, name: str) -> bytes:
        data, total = b"", 1
        while len(data) < total:
            chunk, piece = self.ask("bulk", "GET", {"sha256": name, "offset": len(data), "length": 262144})
            data, total = data + piece, chunk["total"]
        if hashlib.sha256(data).hexdigest() != name:
            raise ValueError("not the blob that was asked for")
        return data

    def follow(self, job: str) -> Fields:  # until its terminal event
        old, last = self.ask("ctl", "ATTACH", {"job": job})[0]["events"], 0
        self.waiting[:0] = [({"t": "EVENT", "body": {"event": event}}, b"") for event in old]
        while True:
            while not self.waiting:
                self.receive()
            header, data = self.waiting.pop(0)
            event: Fields = header["body"].get("event") or {}
            if header["t"] == "PREVIEW":
                self.send("bulk", "CREDIT", {"bytes": len(data)})
                picture = zlib.decompress(data) if header["body"].get("codec") == "zlib_u8" else data
                width, height, channels = (header["body"][key] for key in ("width", "height", "channels"))
                whole = len(picture) == width * height * channels
                sys.stdout.write(f"preview {width} x {height} x {channels} {'whole' if whole else 'broken'}\n")
            elif event.get("job") == job and (event["kind"] == "progress" or event["seq"] > last):
                last = event["seq"]
                sys.stdout.write(f"{event['kind']} {last} {event['state']} {event['step']}/{event['steps']}\n")
                if event["kind"] == "state" and event["state"] in ("succeeded", "failed", "cancelled"):
                    return event


def cube() -> tuple[dict[str, bytes], Fields]:
    """Blobs and MeshSpec. The corners of side `high` of `axis`, counter-clockwise, fill a cell of a 3 x 2 atlas."""
    faces, uvs = list[int](), list[float]()
    for axis, high in [(axis, high) for axis in range(3) for high in (0, 1)]:
        u, v = 1 << (axis + 2 - high) % 3, 1 << (axis + 1 + high) % 3
        for du, dv in ((0, 0), (1, 0), (1, 1), (0, 0), (1, 1), (0, 1)):
            faces.append((high << axis) + du * u + dv * v)
            uvs += ((axis + 0.05 + 0.9 * du) / 3, (high + 0.05 + 0.9 * dv) / 2)
    corners = [2.0 * (index >> axis & 1) - 1 for index in range(8) for axis in range(3)]
    blobs, mesh = dict[str, bytes](), Fields(name="cube")
    for key, values, *shape in (("positions", corners, 8, 3), ("faces", faces, 12, 3), ("corner_uvs", uvs, 12, 3, 2)):
        data = struct.pack(f"<{len(values)}{'i' if key == 'faces' else 'f'}", *values)
        mesh[key] = {"sha256": hashlib.sha256(data).hexdigest(), "dtype": 3 if key == "faces" else 5, "shape": shape}
        blobs[mesh[key]["sha256"]] = data
    return blobs, mesh


def main(connection: str, out: str) -> None:
    client = Client(pathlib.Path(connection))
    blobs, mesh = cube()
    client.upload(blobs)
    client.send("bulk", "CREDIT", {"bytes": 4 * 1024 * 1024})
    settings: Fields = {"preset": "draft", "warm_start": False, "steps": 3, "views": 1}
    settings |= {"resolution": 64, "texture_size": 128}
    spec: Fields = {"meshes": [mesh], "prompt": {"text": "red brick"}, "settings": settings}
    job, other = (client.ask("ctl", "SUBMIT", {"key": secrets.token_hex(16), "spec": spec})[0]["job"] for _ in range(2))
    client.ask("ctl", "CANCEL", {"job": other})
    client.follow(other)
    end = client.follow(job)
    if end["state"] != "succeeded":
        raise RuntimeError(end.get("error"))
    for file in end["result"]["maps"]:
        pathlib.Path(out, f"{file['map']}.{file['codec']}").write_bytes(client.download(file["sha256"]))
    client.ask("ctl", "RESULT_ACK", {"job": job})
    sys.stdout.write(f"list {[entry['state'] for entry in client.ask('ctl', 'LIST', {})[0]['jobs']]}\n")
    client.send("ctl", "BYE", {})
    zmq.Context.instance().destroy()


if __name__ == "__main__":
    main(*sys.argv[1:])
