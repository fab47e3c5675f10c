import pytest

from modelserve.errors import InvalidInput
from modelserve.stores.records import open_records


def test_a_relative_path_is_relative_to_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    open_records("sqlite:///some/where/records.db").close()

    assert (tmp_path / "some/where/records.db").exists()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@host/db",
        "records.db",
        "",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://me:hunter2@host/x",
        "postgresql://me:hunter2@host:notaport/db",
        "postgresql+asyncpg://me:hunter2@host/db",
    ],
)
def test_another_form_is_refused_with_the_forms_there_are_and_no_password(url):
    with pytest.raises(InvalidInput, match=r"records_url: .* must be sqlite:///") as caught:
        open_records(url)

    assert "hunter2" not in caught.value.message
