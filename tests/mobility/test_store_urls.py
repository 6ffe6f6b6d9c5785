"""URLs of stores that their clients could not read are refused, without a part of the password."""

import pytest

from mobility.settings import SettingsError, read_settings
from mobility.store_urls import url_fault


@pytest.mark.parametrize(
    ("field", "url"),
    [
        ("redis", "redis://:pa/s3cret@h/0"),
        ("redis", "redis://:pa#s3cret@h/0"),
        ("redis", "redis://:s3cret?pa@h/0"),
        ("redis", "redis://:s3cret[pa@h/0"),
        ("redis", "redis://:s3cret[p]a@h/0"),
        ("redis", "redis://:s3cret@[::1/0"),
        ("redis", "redis://:s3cret@h:port/0"),
        ("redis", "redis://:s3cret@h:65536/0"),
        ("redis", "redis://:s3cret@h/zero"),
        ("postgres", "postgresql://u:pa/s3cret@h/d"),
        ("postgres", "postgresql://u:%s3cret@h/d"),
        ("postgres", "postgresql://u:s3cret pa@h/d"),
    ],
)
def test_a_url_that_its_client_can_not_read(field: str, url: str) -> None:
    """It is refused at the start, where clients would end in a traceback or quote it."""
    with pytest.raises(SettingsError) as caught:
        read_settings({f"MOBILITY_{field.upper()}": url})
    (fault,) = caught.value.faults
    assert fault.startswith(f"MOBILITY_{field.upper()}=")
    assert "s3cret" not in fault


@pytest.mark.parametrize(
    ("field", "url"),
    [
        ("redis", "redis://h"),
        ("redis", "rediss://user:p%2F w%zz@[::1]:6379/2?ssl_cert_reqs=none&client_name=a@b"),
        ("redis", "redis://u@h:1/"),
        ("redis", "unix://:p@/run/redis.sock?db=1"),
        ("postgres", "postgresql://"),
        ("postgres", "postgresql://u:a[b?c^{@h1:5432,[::1]:5433,[::2]/d?application_name=a@b"),
        ("postgres", "postgres://u@%2Frun%2Fpostgres/d?options=-csearch_path%3Dx"),
    ],
)
def test_a_url_that_its_client_can_read(field: str, url: str) -> None:
    """What the client takes is right, also if it is not what RFC 3986 asks for."""
    assert url_fault(field, url) is None
