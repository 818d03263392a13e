"""Servers of videos on this machine: HTTP, live or not, and a small RTSP."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PACKET = 188  # bytes of a transport stream


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class _Handler(SimpleHTTPRequestHandler):
    """Files of a folder, or the bytes of one in an answer whose length is not told."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        media = self.server.media
        media.num_requests += 1
        if media.silent:
            media.done.wait(20)
        elif not media.endless:
            super().do_GET()
        else:
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header('Content-Type', 'video/mp2t')
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            try:
                for start in range(0, len(content), 10 * PACKET):
                    part = content[start : start + 10 * PACKET]
                    self.wfile.write(b'%x\r\n%s\r\n' % (len(part), part))
                    time.sleep(media.pause)
                if media.stalls:
                    media.done.wait(20)
                self.wfile.write(b'0\r\n\r\n')
            except OSError:
                pass  # the client has enough

    def log_message(self, *_) -> None:
        pass


class MediaServer:
    """Serves a folder over HTTP.

    Args:
        endless: answer without a length, as live streams come.
        pause: seconds between ten packets of such a stream.
        silent: accept, and never answer.
        stalls: keep such a stream open after its last packet.
    """

    def __init__(self, folder, endless=False, pause=0.0, silent=False, stalls=False) -> None:
        self.endless, self.pause, self.silent, self.stalls = endless, pause, silent, stalls
        self.num_requests, self.done = 0, threading.Event()
        handler = partial(_Handler, directory=str(folder))
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self._server.media = self
        self.url = f'http://127.0.0.1:{self._server.server_address[1]}'

    def __enter__(self) -> MediaServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.done.set()
        self._server.shutdown()
        self._server.server_close()


class _Rtsp(socketserver.StreamRequestHandler):
    """Answers as RFC 2326 has it, as far as FFmpeg asks; the stream goes over the same socket."""

    def handle(self) -> None:
        while True:
            lines = []
            while line := self.rfile.readline().decode().strip():
                lines.append(line)
            if not lines:
                return
            method = lines[0].split()[0]
            sequence = next(line for line in lines if line.lower().startswith('cseq'))
            head, body = ['RTSP/1.0 200 OK', sequence, 'Session: 1'], ''
            if method == 'OPTIONS':
                head.append('Public: DESCRIBE, SETUP, PLAY, TEARDOWN')
            elif method == 'DESCRIBE':
                body = 'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n'
                body += 'm=video 0 RTP/AVP 33\r\na=control:track\r\n'
                head += ['Content-Type: application/sdp', f'Content-Length: {len(body)}']
            elif method == 'SETUP':
                head.append('Transport: RTP/AVP/TCP;unicast;interleaved=0-1')
            self.wfile.write(('\r\n'.join(head) + '\r\n\r\n' + body).encode())
            if method == 'PLAY':
                self._play()
                return

    def _play(self) -> None:
        number, content = 0, self.server.content
        for start in range(0, len(content), 7 * PACKET):
            data = content[start : start + 7 * PACKET]
            packet = struct.pack('>BBHII', 0x80, 33, number % 65536, 900 * number, 7) + data
            self.wfile.write(b'$\x00' + struct.pack('>H', len(packet)) + packet)
            number += 1


class RtspServer:
    """Plays a transport stream to whoever asks, then hangs up."""

    def __init__(self, path: str) -> None:
        self._server = socketserver.ThreadingTCPServer(('127.0.0.1', 0), _Rtsp)
        self._server.daemon_threads = True
        self._server.content = Path(path).read_bytes()
        self.port = self._server.server_address[1]

    def __enter__(self) -> RtspServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
