"""What a client sends, frame by frame, taken down on its way to a broker."""

import contextlib
import socket
import struct
import threading


def read_exactly(connection: socket.socket, length: int) -> bytes:
    """Fewer bytes at the end of the connection."""
    received = b""
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            break
        received += piece
    return received


def end(connection: socket.socket) -> None:
    """Ends both directions. A close would wait for the other thread, which waits for what comes on this connection."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Recorder:
    """Stands between clients and a broker, and keeps the frames of each connection in their order."""

    def __init__(self, port: int, broker_port: int):
        self.connections: list[list[bytes]] = []
        self.broker_port = broker_port
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
                broker = socket.create_connection(("127.0.0.1", self.broker_port))
            except OSError:
                return
            frames: list[bytes] = []
            self.connections.append(frames)
            threading.Thread(target=self._requests, args=(client, broker, frames), daemon=True).start()
            threading.Thread(target=self._answers, args=(broker, client), daemon=True).start()

    @staticmethod
    def _requests(client: socket.socket, broker: socket.socket, frames: list[bytes]) -> None:
        try:
            while len(head := read_exactly(client, 4)) == 4:
                frame = head + read_exactly(client, struct.unpack(">i", head)[0])
                frames.append(frame)
                broker.sendall(frame)
            broker.shutdown(socket.SHUT_WR)
        except OSError:
            end(broker)

    @staticmethod
    def _answers(broker: socket.socket, client: socket.socket) -> None:
        try:
            while piece := broker.recv(1 << 16):
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            end(client)
