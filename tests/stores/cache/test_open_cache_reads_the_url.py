import builtins

import pytest

from modelserve.errors import InvalidInput, Unavailable
from modelserve.settings import PlatformSettings, ServerSettings
from modelserve.stores.cache import check_url, open_cache


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "redis://host",
        "redis://host:6379/2",
        "rediss://me:secret@host:6380",
        "redis://[::1]:6379",
    ],
)
def test_these_forms_are_known(url):
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory:",
        "memory://here",
        "redis://",
        "redis://me:hunter2@host:port",
        "redis://me:hunter2@host/name",
        "redis://me:hunter2@host?timeout=9",
        "http://me:hunter2@host",
        "unix:///hunter2",
        "redis://me:hunter2@[host",
    ],
)
def test_another_form_is_refused_with_the_forms_there_are_and_no_password(url):
    with pytest.raises(InvalidInput, match=r"cache_url: must be memory:// or redis://") as caught:
        open_cache(url, 1)

    assert "hunter2" not in caught.value.message


def test_settings_do_not_show_the_password(tmp_path):
    url = "redis://me:hunter2@host"
    server = ServerSettings(service="m", revision="m-1", package=tmp_path, cache_url=url)

    assert "hunter2" not in repr(server) + repr(PlatformSettings(cache_url=url))


def test_missing_redis_names_what_to_install(monkeypatch):
    real = builtins.__import__

    def without_redis(name, *args, **kwargs):
        if name.startswith("modelserve.stores.cache.redis"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_redis)

    with pytest.raises(Unavailable, match=r"pip install 'modelserve\[redis\]'"):
        open_cache("redis://host", 1)
