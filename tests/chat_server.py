"""A chat API on loopback that behaves as it is told: well, slowly, with errors, with hostile answers."""

import json
import random
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PLACES = ["hill", "lake", "road", "river", "square", "beach", "field", "bridge", "harbour", "moor", "island"]
TIMES = ["at dawn", "at noon", "at dusk", "at night", "in the rain", "in the snow", "in the fog", "in May"]
SIDES = ["old", "small", "white", "ruined", "wooden", "tall", "grey", "lonely", "new", "crowded", "round"]
OTHERS = ["barn", "mill", "tower", "school", "tent", "cottage"]


def pair(rng, words="church"):
    """A pair that is drawn from some thousand."""
    other, text = (
        rng.choice(OTHERS),
        f"{rng.choice(SIDES)} {{}} by a {rng.choice(PLACES)} {rng.choice(TIMES)}",
    )
    aspects = {"scene": "country", "time": "any", "mention": "explicit"}
    sides = {"unsafe_prompt": f"A {text.format(words)}", "safe_prompt": f"A {text.format(other)}"}
    return sides | {"replacement": other, "aspects": aspects}


class ChatServer:
    """The API, and what it has seen.

    Attributes:
        url: base_url of the API.
        answered: body of a request → how often it was answered whole.
        keys: Authorization headers that came.
        most: requests that were under way at once, at most.
        faults: what goes wrong with the next requests, in turn: names of methods of the handler; "" is nothing.
        reply: makes the text of an answer of a request's body; None writes good pairs.
        refuses: the words with which requests for structured output are refused; "" takes them.
    """

    def __init__(self):
        self.answered, self.keys, self.faults = Counter(), set(), []
        self.refuses = ""
        self.reply, self.under_way, self.most, self.delay = None, 0, 0, 0.0
        self.received = Counter()
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"chat": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True, args=(0.05,)).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def requests(self):
        """Requests that were answered whole."""
        return sum(self.answered.values())

    def text(self, body):
        return self.reply(body) if self.reply else self.good(body)

    def good(self, body):
        """Ten pairs that depend on the request alone."""
        rng = random.Random(f"{body['model']} {body.get('seed')} {body['messages']}")
        return json.dumps({"pairs": [pair(rng) for _ in range(10)]})


@contextmanager
def chat_server():
    server = ChatServer()
    try:
        yield server
    finally:
        server.close()


class Handler(BaseHTTPRequestHandler):
    chat = None
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        chat = self.chat
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        with chat.lock:
            chat.under_way += 1
            chat.most = max(chat.most, chat.under_way)
            chat.keys.add(self.headers.get("Authorization"))
            chat.received[raw] += 1
            fault = chat.faults.pop(0) if chat.faults else ""
        try:
            time.sleep(chat.delay)
            if fault:
                getattr(self, fault)()
            else:
                self.whole(raw)
        finally:
            with chat.lock:
                chat.under_way -= 1

    def whole(self, raw):
        body = json.loads(raw)
        if self.chat.refuses and "response_format" in body:
            return self.send(400, {"error": {"message": self.chat.refuses}})
        message = {"role": "assistant", "content": self.chat.text(body)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1000, "completion_tokens": 400, "total_tokens": 1400}
        self.send(
            200,
            {
                "object": "chat.completion",
                "id": "1",
                "model": body["model"],
                "choices": [choice],
                "usage": usage,
            },
        )
        with self.chat.lock:
            self.chat.answered[raw] += 1

    def send(self, status, body, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        # Every answer tells the key to whoever would log its headers.
        echo = self.headers.get("Authorization", "")
        for name, value in ({"Content-Type": "application/json", "X-Echo": echo} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def busy(self):
        self.send(429, {"error": {"message": "too many requests"}}, Retry_After="0.2")

    def broken(self):
        self.send(500, {"error": {"message": f"oops: {dict(self.headers)}"}})

    def refused(self):
        self.send(401, {"error": {"message": f"no such key: {self.headers['Authorization']}\nsorry\x1b[31m"}})

    def half_json(self):
        self.send(200, b'{"choices": [{"message": {"con')

    def no_choices(self):
        self.send(200, {"error": "none", "choices": []})

    def cut(self):
        """Half of the promised body, then nothing."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "10000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.wfile.flush()
        self.hang_up()

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def slow(self):
        time.sleep(2)
        self.close_connection = True

    def log_message(self, *_):
        pass


def hostile_replies(key):
    """Answers of which nothing may come through, each a function of the request's body."""
    good = {"unsafe_prompt": "A church", "safe_prompt": "A barn", "replacement": "barn"}
    texts = [
        f'{{"pairs": [{{"unsafe_prompt": "A church {key}", "safe_prompt": "A barn Bearer {key}"}}]}}',
        "",
        f"I cannot help with {key}.",
        "[" * 100_000,
        json.dumps({"pairs": [None, 3, [], {}, {"unsafe_prompt": 1, "safe_prompt": 2}]}),
        json.dumps({"pairs": [good | {"unsafe_prompt": "A church\x00\x1b[2J\r\n,\ud800"}]}),
        json.dumps({"pairs": [good | {"unsafe_prompt": "x" * 10**6}]}),
    ]
    return [lambda body, text=text: text for text in texts]
