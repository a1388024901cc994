"""Digests are the same wherever the text is canonical."""

import hashlib

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from contracts.digest import canonical, crockford, crockford_bytes, digest

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(CONTENT)
def test_canonical_json_is_that_of_rfc_8785(content):
    assert rfc8785.dumps(content) == canonical(content)


def test_keys_are_ordered_by_utf_16_and_vietnamese_stays_readable():
    written = canonical({"\ufb33": 1, "😀": 2, "Tí": ["bé", 1, True, None]})
    assert written.decode() == '{"Tí":["bé",1,true,null],"😀":2,"\ufb33":1}'


@given(st.binary(max_size=32), CONTENT)
def test_a_digest_is_sha_256_of_salt_and_canonical_json(salt, content):
    assert hashlib.sha256(salt + rfc8785.dumps(content)).hexdigest() == digest(salt, content)


def test_the_order_of_keys_does_not_matter_and_the_salt_does():
    assert digest(b"a", {"x": 1, "y": 2}) == digest(b"a", {"y": 2, "x": 1})
    assert digest(b"a", {"x": 1}) != digest(b"b", {"x": 1})


@pytest.mark.parametrize("content", [1.0, float("nan"), {"a": [0.5]}, {1: "a"}, b"bytes", {1, 2}])
def test_what_has_no_one_text_is_refused(content):
    with pytest.raises(TypeError, match="canonical"):
        digest(b"", content)


@pytest.mark.parametrize("content", [2**53, -(2**53), "\ud800", {"\udfff": 1}])
def test_numbers_beyond_a_double_and_broken_text_are_refused(content):
    with pytest.raises(ValueError, match=r"canonical|surrogates"):
        digest(b"", content)


@given(st.binary(max_size=64))
def test_bytes_survive_being_read_aloud(data):
    text = crockford(data)
    assert data == crockford_bytes(text) == crockford_bytes(text.lower())
    assert set(text) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_32_bytes_are_52_symbols_and_misread_letters_are_forgiven():
    assert len(crockford(bytes(32))) == 52
    assert crockford_bytes("OOOO" + "0" * 48) == bytes(32)
    assert crockford_bytes("i" + "0" * 51) == crockford_bytes("1" + "0" * 51)


@pytest.mark.parametrize("text", ["U0", "0!", "0=", "Đ0", "1", "01", "000", "0" * 51])
def test_a_text_that_was_never_written_is_refused(text):
    with pytest.raises(ValueError, match=r"base 32|bits left over"):
        crockford_bytes(text)
