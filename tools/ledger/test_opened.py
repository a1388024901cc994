"""Sealed parts in clear: in the encrypted bundle and nowhere else, of nobody who was forgotten, and beside a bundle that verifies."""

import json
import tarfile
from hashlib import sha256
from io import BytesIO

import pyrage
import pytest
from cryptography.exceptions import InvalidTag

from chassis.mapper import people_in
from chassis.sealing import Place
from tools.ledger import opened
from tools.ledger.conftest import TOLD, asked, bundle_at
from tools.ledger.opened import recipient_of, write_encrypted
from tools.ledger.sample import key_of
from tools.ledger.verify import verify
from tools.ledger.writing import CannotWriteError

AUDITOR = pyrage.x25519.Identity.generate()
SEALED = {
    sha256(row.state).hexdigest(): row for rows in TOLD.rows.values() for row in rows if people_in(row.state)
}  # the states of the sample that hold boxes
BOXES = {digest: Place(row.stream, row.version, row.type) for digest, row in SEALED.items()}
PERSONS = {person for row in SEALED.values() for person in people_in(row.state)}
KEYS = {person: key_of(person) for person in PERSONS}


@pytest.fixture
def sealed(tmp_path):
    bundle_at(tmp_path / "sealed")
    return tmp_path / "sealed"


def decrypted(out, tmp_path):
    (tmp_path / "for-the-auditor.tar").write_bytes(pyrage.decrypt(out.read_bytes(), [AUDITOR]))
    return tmp_path / "for-the-auditor.tar"


def opened_in(tar):
    with tarfile.open(tar) as files:
        members = [member for member in files.getmembers() if member.name.startswith("opened/")]
        return {member.name[7:71]: json.load(files.extractfile(member)) for member in members}


def test_only_the_auditor_can_read_it_and_what_he_reads_verifies(sealed, tmp_path):
    out = tmp_path / "bundle.age"
    digest = write_encrypted(sealed, BOXES, KEYS, AUDITOR.to_public(), out)
    assert sha256(out.read_bytes()).hexdigest() == digest
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(out.read_bytes(), [pyrage.x25519.Identity.generate()])
    report = verify(decrypted(out, tmp_path), asked())
    assert report.clean
    assert any("opened/ shows sealed parts in clear" in remark for remark in report.remarks)


def test_each_sealed_state_is_opened_by_person_and_place_in_the_fact(sealed, tmp_path):
    write_encrypted(sealed, BOXES, KEYS, AUDITOR.to_public(), tmp_path / "out")
    shown = opened_in(decrypted(tmp_path / "out", tmp_path))
    assert SEALED.keys() == shown.keys()
    for digest, parts in shown.items():
        assert {str(person) for person in people_in(SEALED[digest].state)} == parts.keys()
        assert all(pointer.startswith("/") for part in parts.values() for pointer in part)


def test_of_a_forgotten_person_nothing_is_there(sealed, tmp_path):
    forgotten = people_in(next(iter(SEALED.values())).state)[0]
    keys = {person: key for person, key in KEYS.items() if person != forgotten}
    write_encrypted(sealed, BOXES, keys, AUDITOR.to_public(), tmp_path / "out")
    shown = opened_in(decrypted(tmp_path / "out", tmp_path))
    assert str(forgotten) not in {person for parts in shown.values() for person in parts}
    assert {digest for digest, row in SEALED.items() if set(people_in(row.state)) != {forgotten}} == shown.keys()


def test_nothing_in_clear_lies_on_a_disk_while_it_is_written(sealed, tmp_path, monkeypatch):
    encrypt, looked = pyrage.encrypt_io, []

    def looking(pipe, file, recipients):
        clear = pipe.read()
        file.flush()
        texts = [json.dumps(value, ensure_ascii=False).encode() for value in _texts(clear)]
        looked.extend(texts)
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or not any(text in path.read_bytes() for text in texts), path
        encrypt(BytesIO(clear), file, recipients)

    monkeypatch.setattr(opened.pyrage, "encrypt_io", looking)
    write_encrypted(sealed, BOXES, KEYS, AUDITOR.to_public(), tmp_path / "out")
    assert looked
    whole = (tmp_path / "out").read_bytes()
    assert not any(text in whole for text in looked)


def _texts(tar):
    """The opened words that stand in no clear part."""
    with tarfile.open(fileobj=BytesIO(tar)) as files:
        contents = {member.name: files.extractfile(member).read() for member in files.getmembers()}
    clear = b"".join(content for name, content in contents.items() if not name.startswith("opened/"))
    words = {
        value
        for name, content in contents.items()
        if name.startswith("opened/")
        for part in json.loads(content).values()
        for value in part.values()
        if isinstance(value, str)
    }
    return [word for word in words if word.encode() not in clear and len(word) > 3]


def test_what_cannot_be_read_while_it_is_written_is_raised_and_no_whole_file_is_taken_for_it(sealed, tmp_path):
    foreign = {person: bytes(32) for person in KEYS}
    with pytest.raises(InvalidTag):
        write_encrypted(sealed, BOXES, foreign, AUDITOR.to_public(), tmp_path / "out")


def test_an_altered_name_below_opened_is_found(sealed, tmp_path):
    write_encrypted(sealed, BOXES, KEYS, AUDITOR.to_public(), tmp_path / "out")
    raw = decrypted(tmp_path / "out", tmp_path).read_bytes()
    with tarfile.open(fileobj=BytesIO(raw)) as files:
        files.extractall(tmp_path / "taken", filter="data")
    assert verify(tmp_path / "taken", asked()).clean
    (tmp_path / "taken" / "opened" / f"{'0' * 64}.json").write_text("{}")
    assert {"extra"} == verify(tmp_path / "taken", asked()).codes


@pytest.mark.parametrize("text", ["", "age1nonsense", "AGE-SECRET-KEY-1", str(AUDITOR)])
def test_what_is_no_public_key_of_age_is_refused(text):
    with pytest.raises(CannotWriteError, match="a public key of age"):
        recipient_of(text)


def test_a_public_key_is_taken_from_a_file(tmp_path):
    file = tmp_path / "auditor.pub"
    file.write_text(f"{AUDITOR.to_public()}\n")
    assert str(AUDITOR.to_public()) == str(recipient_of(str(file))) == str(recipient_of(str(AUDITOR.to_public())))
