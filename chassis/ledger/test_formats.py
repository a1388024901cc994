"""Entries, notes, checkpoints, policies and receipts, beside the published vector that other implementations accept."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.ledger import encoding, note
from chassis.ledger.checkpoint import Checkpoint
from chassis.ledger.entry import Entry, entry, log_of
from chassis.ledger.errors import LedgerError
from chassis.ledger.note import Signature, SigningKey, VerifierKey, opened, signature_line, signed, taken_apart
from chassis.ledger.policy import Policy
from chassis.ledger.proof import Proof, receipt
from chassis.ledger.tree import Frontier, leaf, node
from chassis.ledger.witness import COSIGNATURE, cosigned

ORIGIN = "hotline111.example/test/cases"
NOON = datetime(2026, 11, 23, 3, tzinfo=UTC)
STREAM = UUID("00000000-0000-4000-8000-000000000001")
KEY = SigningKey.of_seed(ORIGIN, bytes(range(32)))
ENTRIES = [entry(ORIGIN, n, NOON, STREAM, n, "cases.CaseOpened", b"{}") for n in (1, 2, 3)]
VERIFIER = "hotline111.example/test/cases+35e44fec+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
NOTE = """hotline111.example/test/cases
3
3aLYDqXlel+dB4O2NeNnN7HKzS78PW7rWQAQZFN5YPk=

— hotline111.example/test/cases NeRP7MJak7FN2YafzyIVo2W821WPptAKlwgXz7+RSqikcmbMuHX4ee6Rn03Z7GQPTCGuVXk6InL4jJ5eHa7s2ctycQE=
""".encode()
POLICY = Policy.read(f"# test\nlog {VERIFIER}\nquorum none\n".encode())
OTHER = SigningKey.of_seed("hotline111.example/test/intake", bytes(32))


def finding(code):
    """The refusal of that code and no other."""
    return pytest.raises(LedgerError, match=rf"^{code}: ")


def head(*entries):
    frontier = Frontier()
    for one in entries or ENTRIES:
        frontier.add(leaf(one))
    return Checkpoint(ORIGIN, frontier.size, frontier.root())


# -- entries ------------------------------------------------------------------------------------------------------------------


def test_the_entry_of_a_row_is_the_eight_published_lines():
    assert (
        b"v1\nhotline111.example/test/cases\n1\n2026-11-23T03:00:00.000000Z\n00000000-0000-4000-8000-000000000001\n1\n"
        b"cases.CaseOpened\n44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n"
    ) == ENTRIES[0]
    assert leaf(ENTRIES[0]).hex() == "12750ad291bbc422ea7ac09f6137d42ed99ebf9bd53e01b1bdb5412cfff06dda"


def test_an_entry_is_the_same_in_every_time_zone():
    there = NOON.astimezone(timezone(timedelta(hours=7)))
    assert ENTRIES[0] == entry(ORIGIN, 1, there, STREAM, 1, "cases.CaseOpened", b"{}")
    with pytest.raises(ValueError, match="without a time zone"):
        entry(ORIGIN, 1, NOON.replace(tzinfo=None), STREAM, 1, "cases.CaseOpened", b"{}")


def test_an_entry_is_read_back_line_by_line():
    read = Entry.read(ENTRIES[1])
    assert (ORIGIN, 2, "2026-11-23T03:00:00.000000Z", str(STREAM), 2, "cases.CaseOpened") == read[:6]
    assert "cases" == log_of(read.origin)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v1\n", b"v2\n"),
        (b"\n1\n2026", b"\n01\n2026"),
        (b"\n1\n2026", b"\n0\n2026"),
        (b"\n1\n2026", b"\n" + b"9" * 20 + b"\n2026"),
        (b"-11-23T", b"-02-30T"),
        (b".000000Z", b"Z"),
        (b".000000Z", b".000000+00:00"),
        (b"4000-8000", b"4000-800A"),
        (b"cases.CaseOpened", b"Cases.CaseOpened"),
        (b"cases.CaseOpened", "cases.CaseỌpened".encode()),
        (b"44136f", b"44136F"),
        (b"f8a\n", b"f8a"),
        (b"f8a\n", b"f8a\n\n"),
        (b"\n", b"\r\n"),
        (b"example/test", b"example//test"),
        (b"hotline111", b"https://hotline111"),
        (b"hotline111", b"h" * 200),
    ],
)
def test_bytes_that_are_not_exactly_eight_lines_are_no_entry(old, new):
    with finding("shape"):
        Entry.read(ENTRIES[0].replace(old, new))


def test_a_row_that_no_entry_can_hold_is_refused_when_it_is_written():
    for row in ((0, 1, "cases.CaseOpened"), (1, 0, "cases.CaseOpened"), (1, 1, "cases.CaseOpened\nx"), (1, 1, "cases.Được")):
        position, version, type_ = row
        with pytest.raises(ValueError, match=r"no entry|ascii"):
            entry(ORIGIN, position, NOON, STREAM, version, type_, b"{}")


# -- notes and checkpoints ----------------------------------------------------------------------------------------------------


def test_key_checkpoint_and_note_are_those_of_the_published_vector():
    assert VERIFIER == KEY.verifier == str(VerifierKey.read(VERIFIER))
    assert head().text().encode() == NOTE.partition(b"\n\n")[0] + b"\n"
    assert NOTE == KEY.sign(head().text())
    assert head() == Checkpoint.read(opened(NOTE, [KEY.key])) == POLICY.opened(NOTE, ORIGIN).checkpoint


@given(st.integers(0, 8 * len(NOTE) - 1))
def test_no_bit_of_a_note_can_be_changed(bit):
    changed = bytearray(NOTE)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(LedgerError):
        POLICY.opened(bytes(changed), ORIGIN)


@given(st.integers(0, len(NOTE) - 1))
def test_no_byte_of_a_note_can_be_left_out(at):
    with pytest.raises(LedgerError):
        POLICY.opened(NOTE[:at] + NOTE[at + 1 :], ORIGIN)


def test_lines_of_unknown_keys_are_ignored_but_a_false_line_of_a_known_key_is_not():
    new = SigningKey.of_seed(ORIGIN, b"n" * 32)
    both = signed(head().text(), [KEY, new])
    assert head().text() == opened(both, [KEY.key]) == opened(both, [new.key]) == opened(both, [KEY.key, new.key])
    false = NOTE + signature_line(new.key, bytes(64)).encode()
    assert head().text() == opened(false, [KEY.key])
    with finding("signature"):
        opened(false, [KEY.key, new.key])
    with finding("signature"):
        opened(NOTE, [OTHER.key])


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\n\n",
        NOTE + NOTE.splitlines(keepends=True)[-1],  # the same line twice
        NOTE.replace("—".encode(), b"-"),
        NOTE[:-1],
        NOTE + b"x" * note.LARGEST,
        NOTE.replace(b"\n3\n", b"\n3\x00\n"),
        NOTE.replace(b"\n3\n", b"\n3\xff\n"),
        NOTE.replace(b"cQE=", b"cQF="),  # spare bits of base 64
    ],
)
def test_what_is_no_signed_note_is_refused(hostile):
    with finding("checkpoint"):
        opened(hostile, [KEY.key])


@pytest.mark.parametrize(
    "text",
    [
        head().text() + "extension\n",
        head().text().replace("\n3\n", "\n03\n"),
        head().text().replace("\n3\n", "\n-3\n"),
        head().text().replace("\n3\n", f"\n{2**63}\n"),
        head().text().replace("5YPk=", "5YPl="),
        f"{ORIGIN}\n3\nAAAA\n",
        head().text()[:-1],
        f"{ORIGIN}\n٣\n{encoding.encode(head().root)}\n",  # digits of another script
    ],
)
def test_a_checkpoint_has_exactly_three_lines_even_if_the_log_itself_signs_another(text):
    with finding("checkpoint"):
        Checkpoint.read(text)


# -- policies -----------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_another_log_of_the_same_policy_is_not_taken():
    policy = Policy.read(f"log {VERIFIER}\nlog\t{OTHER.verifier} https://log.example/\n\nquorum none\n".encode())
    with finding("origin"):
        policy.opened(NOTE, OTHER.key.name)
    with finding("signature"):  # signed by a listed log, but in the name of another
        policy.opened(OTHER.sign(head().text()), ORIGIN)
    with finding("origin"):
        POLICY.opened(OTHER.sign(head().text().replace("cases", "intake")))


@pytest.mark.parametrize(
    "text",
    [
        f"log {VERIFIER}\n",
        f"log {VERIFIER}\nlog {VERIFIER}\nquorum none\n",
        f"log {VERIFIER.replace('35e44fec', '35e44fed')}\nquorum none\n",
        f"log {VERIFIER} https://log.example/ more\nquorum none\n",
        "quorum none\nquorum none\n",
        "quorum someone\n",
        "trust everybody\nquorum none\n",
        f"log {VERIFIER}\r\nquorum none\r\n",
        f"log {SigningKey.of_seed('x+y'.replace('+', '-'), bytes(range(32))).verifier}\nlog {VERIFIER}\nquorum none\n",
        f"witness w {VERIFIER}\nquorum none\n",
        "group g 1\nquorum none\n",
        "group g 1 nobody\nquorum g\n",
    ],
)
def test_a_policy_that_could_be_misread_is_refused(text):
    with finding("policy"):
        Policy.read(text.encode())


def witness(name, seed):
    signer = SigningKey.of_seed(name, seed)
    return signer, VerifierKey(name, COSIGNATURE, signer.key.public)


def cosign(one, time, text):
    signer, key = one
    return signature_line(key, time.to_bytes(8, "big") + signer._private.sign(cosigned(text, time))).encode()


def test_a_quorum_of_witnesses_must_have_cosigned_and_its_time_is_that_of_the_kth_newest():
    a, b, c = (witness(f"witness-{letter}.example", letter.encode() * 32) for letter in "abc")
    named = "".join(f"witness {name} {one[1]}\n" for name, one in zip("abc", (a, b, c), strict=True))
    policy = Policy.read(f"log {VERIFIER}\n{named}group two 2 a b c\nquorum two\n".encode())
    text = head().text()
    with finding("signature"):
        policy.opened(NOTE + cosign(a, 100, text))
    with finding("signature"):  # a cosignature of another checkpoint
        policy.opened(NOTE + cosign(a, 100, text) + cosign(b, 100, text.replace("\n3\n", "\n4\n")))
    assert 200 == policy.opened(NOTE + cosign(a, 300, text) + cosign(b, 100, text) + cosign(c, 200, text)).witnessed_at


# -- receipts -----------------------------------------------------------------------------------------------------------------


LEAVES = [leaf(one) for one in ENTRIES]
TREE = {(0, n): hash_ for n, hash_ in enumerate(LEAVES)} | {(1, 0): node(LEAVES[0], LEAVES[1])}


def shown(index):
    return receipt(lambda level, at: TREE[level, at], ENTRIES[index], index, NOTE, 3)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_receipt_shows_entry_place_and_checkpoint_without_anything_else_at_hand(index):
    text = shown(index).text()
    assert text.startswith(b"c2sp.org/tlog-proof@v1\nextra ")
    assert (Entry.read(ENTRIES[index]), head()) == Proof.read(text).checked(POLICY, ORIGIN)


@given(st.sampled_from([0, 1, 2]), st.data())
def test_no_byte_of_a_receipt_can_be_changed(index, data):
    text = shown(index).text()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + bytes([text[at] ^ data.draw(st.integers(1, 255))]) + text[at + 1 :]
    with pytest.raises(LedgerError):
        Proof.read(changed).checked(POLICY, ORIGIN)


def test_an_entry_behind_the_checkpoint_has_no_receipt():
    with pytest.raises(ValueError, match="outside the tree"):
        shown_beyond = receipt(lambda level, at: TREE[level, at], ENTRIES[0], 3, NOTE, 3)
        assert shown_beyond
    with finding("root"):
        Proof(3, shown(2).hashes, NOTE, ENTRIES[2]).checked(POLICY)


def test_a_note_can_be_taken_apart_without_being_believed():
    text, lines = taken_apart(NOTE)
    assert (head().text(), [Signature(ORIGIN, KEY.key.id, lines[0].signature)]) == (text, lines)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_finding_and_never_an_accident(raw):
    for read in (Entry.read, Proof.read, taken_apart, Policy.read, lambda raw: Checkpoint.read(raw.decode("latin-1"))):
        with pytest.raises(LedgerError):
            read(raw)
