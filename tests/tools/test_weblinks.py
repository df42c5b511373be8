"""The check of links that leave the book, against a server on this machine."""

import http.server
import socket
import threading

import pytest

from tools import weblinks

ANSWERS = {"/good": [200], "/moved": [301], "/gone": [404], "/robots": [403], "/tired": [503, 200]}


@pytest.fixture
def server():
    left = {path: list(answers) for path, answers in ANSWERS.items()}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answers = left.get(self.path, [500])
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.send_header("Location", "/good")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/good", "ok"),
        ("/moved", "ok"),
        ("/tired", "ok"),
        ("/gone", "dead: status 404"),
        ("/broken", "dead: status 500, 2 times"),
        ("/robots", "open: status 403"),
    ],
)
def test_an_answer_means(server, path, answer):
    assert weblinks.ask(server + path, tries=2, pause=0) == answer


def test_silence_is_dead():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: a refusal at once
        port = taken.getsockname()[1]
        assert weblinks.ask(f"http://127.0.0.1:{port}", tries=2, pause=0).startswith("dead: ")


def test_links_are_found_in_pages_and_in_texts(tmp_path):
    page, text = tmp_path / "a.html", tmp_path / "b.md"
    page.write_text("<a href='https://a.test/x#part'>x</a><a href='b.html'>y</a>", encoding="utf-8")
    text.write_text("[z](https://a.test/x), <https://b.test>, https://c.test/q.", encoding="utf-8")
    assert weblinks.collect(tmp_path, [text]) == {
        "https://a.test/x": ["a.html", "b.md"],
        "https://b.test": ["b.md"],
        "https://c.test/q": ["b.md"],
    }


@pytest.mark.parametrize(("paths", "code"), [(["/good", "/robots"], 0), (["/good", "/gone"], 1)])
def test_the_program_fails_for_a_dead_link_only(server, paths, code, monkeypatch, capsys):
    links = {server + path: ["a.html"] for path in paths}
    monkeypatch.setattr(weblinks, "collect", lambda html, texts: links)
    monkeypatch.setattr("sys.argv", ["weblinks"])
    assert weblinks.main() == code
    told = capsys.readouterr().out
    assert f"{server}{paths[1]} in a.html" in told and f"2 links, {code} dead" in told
