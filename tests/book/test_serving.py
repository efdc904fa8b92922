"""The server of the built book: loopback, its own names, its own folder."""

import http.client
import socket
import threading

import pytest

from neuroglot import NeuroglotError
from neuroglot.book import policy, serving


@pytest.fixture
def folder(tmp_path):
    """A book beside a secret, to which links and odd names might lead."""
    book = tmp_path / "html"
    (book / "part").mkdir(parents=True)
    (book / "empty").mkdir()
    (book / "index.html").write_text(policy.guarded('<head><meta charset="utf-8"></head>a page'))
    (book / "part" / "index.html").write_text("a part")
    (book / "bare.html").write_text("<script>1</script>")
    (book / "code.js").write_text("1")
    (book / "drawn.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "html-beside").mkdir()
    (tmp_path / "html-beside" / "secret.txt").write_text("secret")
    try:
        (book / "link.txt").symlink_to(tmp_path / "secret.txt")
        (book / "out").symlink_to(tmp_path)
        (book / "beside").symlink_to(tmp_path / "html-beside")
        (book / "circle").symlink_to(book / "circle")
        (book / "inside.js").symlink_to(book / "code.js")
        (book / "away").mkdir()
        (book / "away" / "index.html").symlink_to(tmp_path / "secret.txt")
    except OSError:
        pytest.skip("no links can be made here")
    return book


@pytest.fixture
def asked(folder):
    """``asked(path)``: status, headers and content of what the server answers to these very letters."""
    book = serving.server(folder)
    thread = threading.Thread(target=book.serve_forever)
    thread.start()

    def ask(path, method="GET", hosts=(f"127.0.0.1:{book.server_port}",)):
        lines = [f"{method} {path} HTTP/1.0", *(f"Host: {host}" for host in hosts), "", ""]
        with socket.create_connection(("127.0.0.1", book.server_port), timeout=10) as to:
            to.sendall("\r\n".join(lines).encode("latin-1"))
            answer = http.client.HTTPResponse(to, method=method)
            answer.begin()
            return answer.status, answer.headers, answer.read()

    yield ask
    book.shutdown()
    book.server_close()
    thread.join(10)


def test_pages_are_given_with_their_policy(asked, folder):
    for path in ("/", "/index.html", "/index.html?q=1", "/part/../index.html", "/%69ndex.html", "//index.html"):
        status, headers, content = asked(path)
        assert (status, content) == (200, (folder / "index.html").read_bytes())
        own = policy.policy_of(content.decode())
        assert headers["Content-Security-Policy"] == f"{own}; frame-ancestors 'none'" and "script-src 'self'" in own
    assert asked("/part/")[2] == b"a part"
    assert asked("/index.html", "HEAD")[::2] == (200, b"")
    for path, kind in {
        "/code.js": "text/javascript",
        "/inside.js": "text/javascript",
        "/drawn.svg": "image/svg+xml",
    }.items():
        status, headers, _ = asked(path)
        assert (status, headers.get_content_type()) == (200, kind)
    # What brings no policy along runs nothing.
    for path in ("/bare.html", "/drawn.svg", "/code.js", "/missing"):
        said = asked(path)[1]
        assert "script-src 'none'" in said["Content-Security-Policy"]
        assert said["X-Content-Type-Options"] == "nosniff" and said["Cross-Origin-Resource-Policy"] == "same-origin"


OUT = [
    "/../secret.txt",
    "/..%2fsecret.txt",
    "/%2e%2e/secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/part/../../secret.txt",
    "/..%5csecret.txt",
    "/....//secret.txt",
    "/%252e%252e/secret.txt",
    "/link.txt",
    "/out/secret.txt",
    "/out/html/index.html/../../secret.txt",
    "/beside/secret.txt",
    "/away/",
    "/circle",
    "/%00",
    "/index.html%00.js",
    "/" + "a" * 5000,
    "//127.0.0.1/../secret.txt",
    "http://127.0.0.1/../secret.txt",
    "*",
    "/empty",
    "/empty/",
    "/part",
    "/out/",
    "/index.html/",
    "//evil.example/%2f..",
]


@pytest.mark.parametrize("path", OUT, ids=range(len(OUT)))
def test_no_path_leads_out_of_the_folder_or_lists_it(asked, path):
    for given in (path, path + "?x=1#y"):
        status, headers, content = asked(given)
        assert status == 404 and b"secret" not in content.replace(b"secret.txt", b"") and headers["Location"] is None


def test_another_name_for_this_machine_is_refused(asked):
    for host in ("127.0.0.1", "localhost", "LOCALHOST:8000", "127.0.0.1:9000"):  # a forwarded port is another number
        assert asked("/", hosts=[host])[0] == 200
    others = ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2")
    others += ("localhost@evil.example", "127.0.0.1:80:80", "[::1]", "", "localhost:", "0.0.0.0:8000")
    for hosts in [[one] for one in others] + [[], ["localhost", "evil.example"], ["localhost", "localhost"]]:
        for method in ("GET", "HEAD"):
            status, headers, content = asked("/", method, hosts)
            assert status == 421 and b"a page" not in content, hosts
            assert "script-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_it_is_only_read(asked, method):
    assert asked("/index.html", method)[0] == 501


def test_serving_is_on_loopback_only(folder, monkeypatch, capsys):
    with pytest.raises(NeuroglotError, match="run: make book"):
        serving.serve(folder / "empty")
    for port in (70_000, -1):
        with pytest.raises(NeuroglotError, match=f"port {port}: give a number from 0 to 65535"):
            serving.serve(folder, port)
    started, server = threading.Event(), []
    real = serving.http.server.ThreadingHTTPServer.serve_forever

    def forever(self):
        server.append(self)
        started.set()
        real(self)

    monkeypatch.setattr(serving.http.server.ThreadingHTTPServer, "serve_forever", forever)
    thread = threading.Thread(target=serving.serve, args=(folder, 0))
    thread.start()
    assert started.wait(10)
    host, port = server[0].server_address
    assert host == "127.0.0.1"
    with pytest.raises(NeuroglotError, match=f"port {port} cannot be used"):
        serving.serve(folder, port)
    server[0].shutdown()
    thread.join(10)
    assert f"the book is at http://127.0.0.1:{port}/" in capsys.readouterr().out
