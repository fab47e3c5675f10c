"""An archive is unpacked ..."""

import errno
import stat
import tarfile
import zipfile
from unittest.mock import Mock

import pytest

from modelserve.errors import InvalidSpec
from modelserve.sources.archives import unpack

PACKAGE = {"config.json": b"{}", "onnx/model.onnx": b"weights" * 1000}


@pytest.fixture
def unpacked(here, web, tools):
    def fetch(name, archive, **bounds):
        here.open(**bounds)
        web.put(f"/{name}", archive)
        return tools.content(here.fetch(f"{web.url}/{name}"))

    return fetch


@pytest.mark.parametrize("name", ["p.tar.gz", "p.tgz"])
def test_whole(unpacked, tools, name):
    assert unpacked(name, tools.tar_gz(PACKAGE)) == PACKAGE


def test_from_a_zip(unpacked, tools):
    assert unpacked("p.zip", tools.zipped(PACKAGE)) == PACKAGE


def test_past_a_lone_top_folder(unpacked, tools):
    wrapped = {f"./bert-1/{name}": data for name, data in PACKAGE.items()}
    assert unpacked("p.tar.gz", tools.tar_gz(wrapped)) == PACKAGE


def odd(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        odd("l", tarfile.SYMTYPE, "/etc/passwd"),
        odd("l", tarfile.LNKTYPE, "config.json"),
        odd("d", tarfile.CHRTYPE),
        odd("d", tarfile.BLKTYPE),
        odd("p", tarfile.FIFOTYPE),
    ],
)
def test_only_where_all_is_plain_files_and_folders(unpacked, tools, member):
    with pytest.raises(InvalidSpec, match=r"spec\.model\.uri: .* no plain file or folder"):
        unpacked("p.tar.gz", tools.tar_gz(PACKAGE, member))


def test_not_with_a_link_in_a_zip(unpacked, tools):
    with pytest.raises(InvalidSpec, match="a link, a device or encrypted"):
        unpacked("p.zip", tools.zipped({"l": b"/etc/passwd"}, external_attr=stat.S_IFLNK << 16))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a//b", "a\\b", "x" * 300, "a\nb"])
@pytest.mark.parametrize("kind", ["tar_gz", "zipped"])
def test_never_out_of_its_folder(unpacked, tools, here, name, kind):
    ending = {"tar_gz": "tar.gz", "zipped": "zip"}[kind]
    with pytest.raises(InvalidSpec, match="a plain relative name"):
        unpacked(f"p.{ending}", getattr(tools, kind)({name: b"x"}))
    assert not (here.folder.parent / "x").exists()


@pytest.mark.parametrize("kind", ["tar_gz", "zipped"])
def test_no_further_than_the_limit(unpacked, tools, kind):
    ending = {"tar_gz": "tar.gz", "zipped": "zip"}[kind]
    bomb = getattr(tools, kind)({"zeros": bytes(200_000_000)})
    with pytest.raises(InvalidSpec, match="more than 1000000 bytes"):
        unpacked(f"p.{ending}", bomb, max_bytes=1_000_000)


@pytest.mark.parametrize("kind", ["tar_gz", "zipped"])
def test_with_a_bounded_number_of_entries(unpacked, tools, kind):
    ending = {"tar_gz": "tar.gz", "zipped": "zip"}[kind]
    many = getattr(tools, kind)({f"f{n}": b"" for n in range(30)})
    with pytest.raises(InvalidSpec, match="more than 20 entries"):
        unpacked(f"p.{ending}", many, max_files=20)


def test_not_with_a_header_that_fills_the_memory(unpacked, tools):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 70_000_000
    with pytest.raises(InvalidSpec, match="header of"):
        unpacked("p.tar", header.tobuf(tarfile.USTAR_FORMAT) + bytes(71_000_000))


@pytest.mark.parametrize("content", [b"", b"nonsense" * 100, b"\x1f\x8b\x08\x00broken"])
@pytest.mark.parametrize("name", ["p.tar.gz", "p.zip", "p.tar"])
def test_only_if_it_is_one(unpacked, name, content):
    with pytest.raises(InvalidSpec, match=r"damaged|empty"):
        unpacked(name, content)


def test_not_if_it_is_cut_short(unpacked, tools):
    with pytest.raises(InvalidSpec, match="damaged"):
        unpacked("p.tar.gz", tools.tar_gz(PACKAGE)[:-20])


def test_not_if_a_zip_with_bzip2_is_damaged(unpacked, tools):
    archive = tools.zipped(PACKAGE, compress_type=zipfile.ZIP_BZIP2)
    begin = archive.index(b"BZh") + 4
    with pytest.raises(InvalidSpec, match="damaged"):
        unpacked("p.zip", archive[:begin] + b"?" + archive[begin + 1 :])


def test_not_while_the_disk_fails(tmp_path, tools, monkeypatch):
    archive = tmp_path / "p.zip"
    archive.write_bytes(tools.zipped(PACKAGE))
    failing = Mock(side_effect=OSError(errno.EIO, "Input/output error"))
    monkeypatch.setattr(zipfile.ZipExtFile, "read", failing)
    with pytest.raises(OSError, match="Input/output error"):
        unpack(archive, archive.name, tmp_path / "unpacked", limit=1_000_000, most=10)


def test_not_if_its_names_go_on_without_end(unpacked):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1
    with pytest.raises(InvalidSpec, match="damaged"):
        unpacked("p.tar", (header.tobuf(tarfile.GNU_FORMAT) + bytes(512)) * 2000)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["tar_gz", "zipped"])
def test_not_if_two_entries_have_one_name(unpacked, tools, kind):
    ending = {"tar_gz": "tar.gz", "zipped": "zip"}[kind]
    with pytest.raises(InvalidSpec, match="two entries of one name"):
        unpacked(f"p.{ending}", getattr(tools, kind)({"a": b"1", "a/b": b"2"}))
