"""A file on a web server ..."""

import hashlib
import threading
from collections import deque
from pathlib import Path

import pytest

from modelserve._kit.downloads import Patience
from modelserve.errors import InvalidSpec, Unavailable

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes: more than socket buffers take at once
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def uri(web):
    web.put("/m.onnx", CONTENT)
    return f"{web.url}/m.onnx"


def test_arrives_whole_and_tells_how_far_it_is(here, uri):
    assert here.fetch(uri).read_bytes() == CONTENT
    assert here.progress[-1] == (len(CONTENT), len(CONTENT))
    assert len(here.progress) > 1


def test_has_a_version_as_long_as_it_does_not_change(here, web, uri):
    first = here.version(uri)
    assert first == here.version(uri)
    web.put("/m.onnx", b"other")
    assert here.version(uri) not in (first, None)


def test_goes_on_where_the_connection_dropped(here, web, uri):
    web.resources["/m.onnx"].cuts = deque([200_000, 100_000])
    assert here.fetch(uri).read_bytes() == CONTENT
    asked = [headers.get("range") for headers in web.gets("/m.onnx")]
    assert asked == [None, "bytes=200000-", "bytes=300000-"]
    assert all("if-range" in headers for headers in web.gets("/m.onnx")[1:])


def test_goes_on_after_a_restart(here, web, uri):
    web.resources["/m.onnx"].cuts = deque([200_000, 0, 0, 0])
    with pytest.raises(Unavailable, match=r"spec\.model\.uri: .*ended after 200000|connection failed"):
        here.fetch(uri)
    here.open()
    assert here.fetch(uri).read_bytes() == CONTENT
    assert web.gets("/m.onnx")[-1]["range"] == "bytes=200000-"


def test_starts_again_where_the_server_ignores_ranges(here, web, uri):
    web.put("/m.onnx", CONTENT, ranges=False, cuts=deque([200_000]))
    assert here.fetch(uri).read_bytes() == CONTENT


def test_starts_again_where_nothing_tells_one_content_from_another(here, web, uri):
    web.put("/m.onnx", CONTENT, etag="", cuts=deque([200_000]))
    assert here.fetch(uri).read_bytes() == CONTENT
    assert "range" not in web.gets("/m.onnx")[-1]


def test_goes_on_without_an_etag_where_its_hash_is_pinned(here, web, uri):
    web.put("/m.onnx", CONTENT, etag="", cuts=deque([200_000]))
    assert here.fetch(f"{uri}#sha256={SHA}").read_bytes() == CONTENT
    assert web.gets("/m.onnx")[-1]["range"] == "bytes=200000-"


def test_that_changes_half_way_is_never_a_mixture(here, web, uri):
    new = CONTENT[::-1]
    web.resources["/m.onnx"].cuts = deque([200_000])

    def change(resource):
        if len(web.gets("/m.onnx")) == 2:
            resource.content = new

    web.resources["/m.onnx"].before = change
    assert here.fetch(uri).read_bytes() == new


def test_that_changes_all_the_time_is_given_up(here, web, uri):
    def change(resource):
        resource.content += b"!"

    web.resources["/m.onnx"].before = change
    with pytest.raises(Unavailable, match="it changes while it is fetched"):
        here.fetch(uri)


def test_of_another_hash_than_pinned_is_refused_and_fetched_twice_at_most(here, web, uri):
    with pytest.raises(InvalidSpec, match=f"its sha256 is {SHA}, but {'0' * 64} was promised"):
        here.fetch(f"{uri}#sha256={'0' * 64}")
    assert len(web.gets("/m.onnx")) == 2


def test_that_is_larger_than_allowed_is_refused_before_it_is_fetched(here, web, uri):
    here.open(max_bytes=1000)
    with pytest.raises(InvalidSpec, match=r"has 512000 bytes; the limit is 1000 \(MODELSERVE_FETCH_LIMIT\)"):
        here.fetch(uri)
    assert web.gets("/m.onnx") == []


def test_that_hides_its_size_is_broken_off_at_the_limit(here, web, uri):
    web.put("/m.onnx", CONTENT, head=405)
    here.open(max_bytes=100_000)
    with pytest.raises(InvalidSpec, match="more than the 100000 bytes"):
        here.fetch(uri)


def test_is_fetched_though_the_server_knows_no_head(here, web, uri):
    web.put("/m.onnx", CONTENT, head=405)
    assert here.version(uri) is None
    assert here.fetch(uri).read_bytes() == CONTENT


def test_that_comes_too_slowly_is_unavailable(here, web, uri):
    web.put("/m.onnx", CONTENT, drip=0.02)
    here.open(patience=Patience(tries=2, first=0.001, stall=0.2))
    with pytest.raises(Unavailable, match=r"only \d+ bytes came in"):
        here.fetch(uri)


def test_on_a_server_that_fails_for_a_moment_is_fetched(here, web, uri):
    web.resources["/m.onnx"].status = 503

    def recover(resource):
        if len(web.asked) > 2:
            resource.status = 200

    web.resources["/m.onnx"].before = recover
    web.resources["/m.onnx"].head = 405
    assert here.fetch(uri).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [(404, InvalidSpec, "nothing is there"), (403, InvalidSpec, "denied"), (500, Unavailable, "status 500")],
)
def test_that_is_not_handed_out_says_why(here, web, status, error, said):
    web.put("/m.onnx", status=status)
    with pytest.raises(error, match=rf"spec\.model\.uri: got 'http.*{said}"):
        here.fetch(f"{web.url}/m.onnx")


def test_on_a_full_disk_is_unavailable(here, web, uri, monkeypatch):
    real = Path.open

    def full(path, mode="r", *rest, **more):
        if "b" in mode and path.suffix == ".part":
            return real(Path("/dev/full"), "r+b", buffering=0)
        return real(path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(Unavailable, match="this machine can't keep it"):
        here.fetch(uri)


def test_that_the_disk_has_no_room_for_is_not_begun(here, web, uri, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 5}))
    with pytest.raises(Unavailable, match="512000 bytes, but the disk has only 5 free"):
        here.fetch(uri)
    assert web.gets("/m.onnx") == []


def test_is_left_half_way_when_the_platform_stops(here, web, uri):
    web.put("/m.onnx", CONTENT, drip=0.01)
    here.open(patience=Patience(stall=60))
    begun = threading.Event()
    web.resources["/m.onnx"].before = lambda _: begun.set()
    said = []

    def fetch():
        with pytest.raises(Unavailable, match="the fetch was stopped") as caught:
            here.fetch(uri)
        said.append(caught)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert begun.wait(30)
    here.sources.stop()
    thread.join(30)
    assert said


class TestReached:
    """... is reached under the operator's policy."""

    @pytest.fixture
    def secure(self, hosts, tmp_path_factory, monkeypatch):
        context, pem = hosts.certificate(tmp_path_factory.mktemp("tls"))
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        with hosts.serving(hosts.Host(context)) as host:
            host.put("/m.onnx", CONTENT)
            yield host

    def test_by_https(self, tools, secure, tmp_path):
        assert tools.here(tmp_path / "s").fetch(f"{secure.url}/m.onnx").read_bytes() == CONTENT

    def test_not_with_a_certificate_that_nobody_vouches_for(self, tools, secure, tmp_path, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            tools.here(tmp_path / "s").fetch(f"{secure.url}/m.onnx")
        assert secure.asked == []

    def test_not_at_a_private_address(self, tools, secure, tmp_path):
        here = tools.here(tmp_path / "s", trusted=())
        with pytest.raises(InvalidSpec, match=r"127\.0\.0\.1, which is no public address; .*TRUSTED_HOSTS"):
            here.fetch(f"{secure.url}/m.onnx")
        with pytest.raises(InvalidSpec, match="leads to"):
            here.fetch(f"https://localhost:{secure.port}/m.onnx")
        assert secure.asked == []

    def test_not_by_plain_http(self, tools, web, uri, tmp_path):
        with pytest.raises(InvalidSpec, match=r"plain http to 127\.0\.0\.1 .* use https"):
            tools.here(tmp_path / "s", trusted=()).fetch(uri)
        assert web.asked == []

    def test_through_a_redirect(self, here, web, uri):
        web.put("/old.onnx", status=302, location="/m.onnx")
        assert here.fetch(f"{web.url}/old.onnx").read_bytes() == CONTENT

    def test_not_through_a_redirect_down_to_http(self, tools, secure, web, uri, tmp_path):
        secure.put("/old.onnx", status=302, location=uri)
        with pytest.raises(InvalidSpec, match="redirects from https to http"):
            tools.here(tmp_path / "s").fetch(f"{secure.url}/old.onnx")
        assert web.asked == []

    def test_not_through_a_redirect_into_the_own_network(self, tools, secure, web, tmp_path):
        with_port = f"127.0.0.1:{secure.port}"
        here = tools.here(tmp_path / "s", trusted=(with_port,))
        for inner in ("https://127.0.0.1:1/m.onnx", "https://169.254.169.254/m.onnx", "https://[::1]/m.onnx"):
            secure.put("/old.onnx", status=302, location=inner)
            with pytest.raises(InvalidSpec, match="no public address"):
                here.fetch(f"{secure.url}/old.onnx")

    def test_not_round_and_round(self, here, web):
        web.put("/a.onnx", status=302, location="/a.onnx")
        with pytest.raises(InvalidSpec, match="redirects more than"):
            here.fetch(f"{web.url}/a.onnx")
