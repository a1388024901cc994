"""Two verifiers that share no code say the same of the same bytes: the code, the log and the position of each finding."""

import os
import shutil
import tarfile
from contextlib import chdir
from io import BytesIO

import pytest

from tests.programs import built
from tools.ledger.conftest import CASES, EXTRA, FILES, GONE, TOLD, UNTIL, bundle_at, relist, spoil, turn
from tools.ledger.sample import PLACE, history, signed_head
from tools.ledger.tamper import GO, go, python
from tools.ledger.writing import LogWriter


@pytest.fixture(scope="module")
def program():
    return built(str(GO))


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    path = tmp_path_factory.mktemp("both")
    (path / "policy").write_bytes(TOLD.policy)
    return path


@pytest.fixture
def agree(desk, program):
    def say(path, *options):
        said = [verifier(["--policy", str(desk / "policy"), *options, str(path)]) for verifier in (python, go(program))]
        ours, theirs = ((code, sorted(line.split(" ")[:4] for line in lines.splitlines())) for code, lines in said)
        assert ours == theirs
        return ours[0]

    return say


@pytest.fixture
def findings(desk, program):
    """What both say is wrong, up to the position."""

    def say(path, *options):
        said = [verifier(["--policy", str(desk / "policy"), *options, str(path)])[1] for verifier in (python, go(program))]
        ours, theirs = (sorted(" ".join(line.split(" ")[:4]) for line in lines.splitlines()) for lines in said)
        assert ours == theirs
        return [line for line in ours if line.startswith("FAIL")]

    return say


def test_of_what_is_clean(bundle, tmp_path, agree):
    bundle_at(tmp_path / "b.tar", tar=True)
    for name, content in (("receipt", TOLD.receipt("cases", 200)), ("checkpoint", TOLD.note("cases", 100))):
        (tmp_path / name).write_bytes(content)
    assert [0, 0, 0, 0] == [agree(path) for path in (bundle, tmp_path / "b.tar", tmp_path / "receipt", tmp_path / "checkpoint")]


@pytest.mark.parametrize("which", FILES)
def test_of_a_spoilt_file(bundle, agree, which):
    name, change, _ = FILES[which]
    spoil(bundle / name, change)
    assert 1 == agree(bundle)


@pytest.mark.parametrize("name", GONE)
def test_of_a_file_that_is_not_there(bundle, agree, name):
    (bundle / name).unlink()
    if name.startswith("states/") and not name.endswith("SUMS"):
        relist(bundle)
    assert 1 == agree(bundle)


@pytest.mark.parametrize("name", EXTRA)
def test_of_a_file_that_no_bundle_has(bundle, agree, name):
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_bytes(b"what somebody shall find later")
    assert 1 == agree(bundle)


def test_of_a_receipt_for_another_place(tmp_path, agree):
    path = tmp_path / "a.tlog-proof"
    for position, index in ((200, b"index 200"), (290, b"index 290"), (10, b"index 8")):
        path.write_bytes(TOLD.receipt("cases", position).replace(b"index %d" % (position - 1), index))
        assert 1 == agree(path)


# -- states ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def told():
    return history(until=UNTIL, rows={"intake": 12, "cases": 12, "projections": 12})


def with_cause(text):
    return b'{"meta":{"cause":%s}}' % text


NO_CAUSE = {
    "a person": with_cause(b'"rest:intake"'),
    "a log that is not here": with_cause(b'"payroll:7"'),
    "the name of a log alone": with_cause(b'"cases"'),
    "no cause": b'{"meta":{}}',
    "no meta": b"{}",
    "an earlier entry": with_cause(b'"cases:2"'),
    "an earlier entry, escaped": with_cause(b'"\\u0063ases:2"'),
    "an entry of another log": with_cause(b'"intake:3"'),
    "a long number": b'{"n":' + b"9" * 5_000 + b',"x":-1.5e999}',
    "a hundred levels": b'{"a":' + b"[" * 99 + b"]" * 99 + b"}",
    "brackets in a string": b'{"a":"' + b"[{" * 200 + b'"}',
    "a whole pair of surrogates": b'{"a":"\\ud83d\\ude00"}',
    "white space": b' \t\r\n{ "meta" : { } }\n',
}
WRONG_CAUSE = {
    "itself": with_cause(b'"cases:3"'),
    "a later entry": with_cause(b'"cases:4"'),
    "behind the instant": with_cause(b'"intake:13"'),
    "position 0": with_cause(b'"cases:0"'),
    "no position": with_cause(b'"cases:"'),
    "a huge position": with_cause(b'"cases:' + b"9" * 30 + b'"'),
    "a leading zero": with_cause(b'"cases:02"'),
    "a sign": with_cause(b'"cases:-1"'),
    "a plus": with_cause(b'"intake:+1"'),
    "a line end": with_cause(b'"cases:2\\n"'),
    "digits that are not ASCII": with_cause('"cases:\u0662"'.encode()),
    "more behind it": with_cause(b'"cases:2:1"'),
    "null": with_cause(b"null"),
    "a number": with_cause(b"5"),
    "a list": with_cause(b"[]"),
    "an object": with_cause(b"{}"),
    "meta null": b'{"meta":null}',
    "meta a list": b'{"meta":[]}',
    "meta a string": b'{"meta":"x"}',
    "no object": b"[]",
    "nothing": b"",
    "two values": b"{}{}",
    "not UTF-8": b'{"a":"\xff"}',
    "a mark of byte order": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "not a number": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "half a pair of surrogates": b'{"a":"\\uDC00"}',
    "halves as names": b'{"\\ud800":1,"\\udfff":2}',
    "a member twice": b'{"meta":{},"meta":{}}',
    "a member twice, escaped": b'{"a":{"b":1,"\\u0062":2}}',
    "a hundred and one levels": b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
    "nine thousand levels": b'{"a":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
    "a control character": b'{"a":"\x01"}',
    "a comma too many": b'{"a":1,}',
    "a leading zero in a number": b'{"a":01}',
}


@pytest.fixture
def third(told, tmp_path, findings):
    """What both say of a log of which the third entry has this state."""

    def say(state):
        told.rows["cases"][2] = told.rows["cases"][2]._replace(state=state)
        bundle_at(tmp_path / "bundle", told)
        return findings(tmp_path / "bundle")

    return say


@pytest.mark.parametrize("which", NO_CAUSE)
def test_of_a_state_that_names_no_entry_or_an_earlier_one(third, which):
    assert [] == third(NO_CAUSE[which])


@pytest.mark.parametrize(("cause", "wrong"), [(b"intake:3", "intake"), (b"cases:3", "cases"), (b"intake:2", "intake")])
def test_of_a_state_that_two_logs_name_it_is_judged_in_each(told, tmp_path, findings, cause, wrong):
    for log, position in (("cases", 3), ("intake", 2)):
        told.rows[log][position - 1] = told.rows[log][position - 1]._replace(state=with_cause(b'"%s"' % cause))
    bundle_at(tmp_path / "bundle", told)
    assert [f"FAIL cause {PLACE}/{wrong} {2 if wrong == 'intake' else 3}"] == findings(tmp_path / "bundle")


@pytest.mark.parametrize("which", WRONG_CAUSE)
def test_of_a_state_of_which_the_cause_is_not_covered_or_cannot_be_read(third, which):
    assert [f"FAIL cause {CASES} 3"] == third(WRONG_CAUSE[which])


# -- entries -----------------------------------------------------------------------------------------------------------------------

ENTRIES = {
    "of the year 0": (3, lambda line: b"0000" + line[4:]),
    "of an hour that does not exist": (3, lambda line: line[:11] + b"24:00:00.000000Z"),
    "of a day that does not exist": (3, lambda line: line[:5] + b"02-30" + line[10:]),
    "of a huge type": (6, lambda line: line + b"A" * 60_000),
    "of a type without a name": (6, lambda line: b"." + line),
    "of a stream in capitals": (4, lambda _: b"ABCDEFAB-0000-4000-8000-000000000001"),
    "of version 0": (5, lambda _: b"0"),
    "with a carriage return": (7, lambda line: line + b"\r"),
    "with a ninth line": (7, lambda line: line + b"\n"),
}


@pytest.mark.parametrize("which", ENTRIES)
def test_of_an_entry_of_another_shape(told, tmp_path, findings, which):
    number, change = ENTRIES[which]
    entries = told.entries("cases")
    lines = entries[2].split(b"\n")
    lines[number] = change(lines[number])
    entries[2] = b"\n".join(lines)
    writer = LogWriter(tmp_path / "export")
    for one in entries:
        writer.add(one)
    writer.finish(signed_head(told.keys["cases"], entries))
    assert [f"FAIL shape {CASES} 3"] == findings(tmp_path / "export")


# -- the call ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def evidence(tmp_path, bundle):
    """One of each kind, with what may be given beside it."""
    (tmp_path / "receipt").write_bytes(TOLD.receipt("cases", 200))
    (tmp_path / "checkpoint").write_bytes(TOLD.note("cases"))
    (tmp_path / "state").write_bytes(TOLD.rows["cases"][199].state)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "option", "code"),
    [
        ("bundle", "--state state", 2),
        ("receipt", "--state state", 0),
        ("receipt", "--state receipt", 1),
        ("checkpoint", "--state state", 2),
        ("bundle", f"--case {TOLD.of_case['cases']}", 0),
        ("bundle", f"--case {TOLD.of_case['intake']}", 1),
        ("receipt", f"--case {TOLD.of_case['cases']}", 2),
        ("checkpoint", f"--case {TOLD.of_case['cases']}", 2),
        ("bundle", "--case mine", 2),
        ("bundle", "--max-age 999999d", 0),
        ("bundle", "--max-age 0h", 1),
        ("bundle", "--max-age 0s", 1),
        ("bundle", "--max-age 1h30m", 2),
        ("bundle", "--max-age 1.5h", 2),
        ("bundle", "--max-age -1h", 2),
        ("bundle", "--max-age 7", 2),
        ("bundle", "--max-age 7w", 2),
        ("receipt", "--max-age 7d", 2),
        ("checkpoint", "--max-age 12h", 2),
        ("checkpoint", "--max-age 0h", 2),
        ("bundle", "--held pipe", 2),
        ("bundle", "--held bundle", 2),
        ("receipt", "--state pipe", 2),
        ("pipe", "", 2),
        ("nothing", "", 2),
    ],
)
def test_what_the_evidence_cannot_answer_is_a_wrong_call(evidence, agree, path, option, code):
    with chdir(evidence):
        assert code == agree(path, *option.split())


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.touch() or os.truncate(path, 40 << 30)], ids=["a pipe", "huge"])
def test_a_policy_that_is_no_file_of_its_size_is_a_wrong_call(evidence, program, make):
    make(evidence / "policy")
    said = [verifier(["--policy", str(evidence / "policy"), str(evidence / "bundle")]) for verifier in (python, go(program))]
    assert [(2, ""), (2, "")] == said


def test_witnesses_tell_the_age_of_a_receipt_and_of_a_checkpoint(evidence, program):
    (evidence / "policy").write_bytes(TOLD.policy_with_quorum)
    for age, code in (("999999d", 0), ("1s", 1), ("0h", 1)):
        for path in ("receipt", "checkpoint", "bundle"):
            words = ["--policy", str(evidence / "policy"), "--max-age", age, str(evidence / path)]
            assert [code, code] == [verifier(words)[0] for verifier in (python, go(program))]


# -- containers --------------------------------------------------------------------------------------------------------------------


def plain(name, content=b"", **more):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in more.items():
        setattr(member, key, value)
    return member, content


def with_folder(raw):
    return packed(plain("logs", type=tarfile.DIRTYPE)) + raw


def packed(*members, form=tarfile.USTAR_FORMAT):
    """Members without the end of a tar."""
    return b"".join(member.tobuf(form) + content + bytes(-len(content) % 512) for member, content in members)


def at_last_member(raw):
    """Cut before the header of the last member."""
    with tarfile.open(fileobj=BytesIO(raw)) as tar:
        return raw[: tar.getmembers()[-1].offset]


TARS = {
    "as it was written": (lambda raw: raw, []),
    "one block of zeros at its end": (lambda raw: raw.rstrip(b"\0") + bytes(512 - len(raw.rstrip(b"\0")) % 512 + 512), []),
    "cut at a member": (at_last_member, ["FAIL malformed - -"]),
    "cut within a header": (lambda raw: raw[:700], ["FAIL malformed - -"]),
    "more behind it": (lambda raw: raw + b"more", ["FAIL extra - -"]),
    "a folder": (with_folder, ["FAIL extra - -"]),
    "a long header": (
        lambda raw: packed(plain("instant", pax_headers={"x": "y"}), form=tarfile.PAX_FORMAT) + raw,
        ["FAIL extra - -"],
    ),
    "a header for all": (lambda raw: tarfile.TarInfo.create_pax_global_header({"x": "y"}) + raw, ["FAIL extra - -"]),
    "another name for it": (lambda raw: packed(plain("./instant")) + raw, ["FAIL extra - -"]),
    "a file twice": (lambda raw: packed(plain("instant")) + raw, ["FAIL extra - -"]),
    "a link": (lambda raw: packed(plain("policy", type=tarfile.SYMTYPE, linkname="instant")) + raw, ["FAIL extra - -"]),
    "a header of GNU": (lambda raw: packed(plain("policy"), form=tarfile.GNU_FORMAT) + raw, ["FAIL malformed - -"]),
    "zeros": (lambda _: bytes(10_240), ["FAIL malformed - -"]),
}


@pytest.mark.parametrize("which", TARS)
def test_of_a_tar(tmp_path, findings, which):
    change, found = TARS[which]
    path = tmp_path / "b.tar"
    bundle_at(path, tar=True)
    path.write_bytes(change(path.read_bytes()))
    assert found == findings(path)


def test_of_a_tar_that_ends_in_a_hole_of_any_size(tmp_path, findings):
    path = tmp_path / "b.tar"
    bundle_at(path, tar=True)
    os.truncate(path, 40 << 30)
    assert ["FAIL extra - -"] == findings(path)
    path.write_bytes(b"")
    os.truncate(path, 40 << 30)
    assert ["FAIL malformed - -"] == findings(path)


@pytest.mark.parametrize("name", ["nothing", "logs/payroll", "logs/cases/tile/3", "states/deeper/still"])
def test_of_a_folder_with_nothing_in_it(bundle, findings, name):
    (bundle / name).mkdir(parents=True)
    assert ["FAIL extra - -"] == findings(bundle)


def test_of_a_copy_of_the_policy_that_is_larger_than_any(bundle, findings):
    os.truncate(bundle / "policy", 256 * 1024)
    assert [] == findings(bundle)
    os.truncate(bundle / "policy", 256 * 1024 + 1)
    assert ["FAIL extra - -"] == findings(bundle)


# -- the same code -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("note", [b"x\n", b"", TOLD.note("cases")[:-9], TOLD.note("cases").replace(b"\n", b"\r\n")])
def test_of_a_file_that_is_no_note(tmp_path, bundle, findings, note):
    (tmp_path / "note").write_bytes(note)
    assert [line.rpartition(" ")[0].rpartition(" ")[0] for line in findings(tmp_path / "note")]
    (bundle / "logs/cases/checkpoint").write_bytes(note)
    assert [f"FAIL checkpoint {CASES} -"] == findings(bundle)


def test_of_bundles_and_tiles_of_another_name_or_content(bundle, findings):
    entries = bundle / "logs/cases/tile/entries/001.p"
    (entries / "34").rename(entries / "35")
    assert [f"FAIL missing {CASES} 257"] == findings(bundle)


def test_of_an_upper_tile_it_is_told_which_hash_differs(tmp_path, findings):
    told = history(until=UNTIL, rows={"intake": 12, "cases": 600, "projections": 12})
    bundle_at(tmp_path / "bundle", told)
    spoil(tmp_path / "bundle/logs/cases/tile/1/000.p/2", turn(33))
    assert [f"FAIL tile {CASES} 257"] == findings(tmp_path / "bundle")


def test_of_an_export_without_its_checkpoint(export, findings):
    (export / "checkpoint").unlink()
    assert ["FAIL missing - -"] == findings(export)


def test_of_an_export_that_does_not_show_its_states(export, findings):
    shutil.rmtree(export / "states")
    assert [f"FAIL missing {CASES} 1"] == findings(export)


LISTS = {
    "an unknown log": ("streams", b"payroll *\n"),
    "all of all": ("streams", b"*\n"),
    "an id in capitals": ("streams", b"cases ABCDEFAB-0000-4000-8000-000000000001\n"),
    "two blanks": ("streams", b"cases  *\n"),
    "no line end": ("streams", b"cases *"),
    "a carriage return": ("instant", b"cases 290\r\nintake 20\r\nprojections 20\r\n"),
    "no last line end": ("instant", b"cases 290\nintake 20\nprojections 20"),
    "an empty line": ("instant", b"cases 290\n\nintake 20\nprojections 20\n"),
    "a leading zero": ("instant", b"cases 0290\nintake 20\nprojections 20\n"),
    "size 0": ("instant", b"cases 290\nintake 0\nprojections 20\n"),
    "a log with a number": ("instant", b"cases 290\nintake2 20\nprojections 20\n"),
}


@pytest.mark.parametrize("which", LISTS)
def test_of_a_list_that_is_not_as_it_is_written(bundle, findings, which):
    name, content = LISTS[which]
    (bundle / name).write_bytes(content)
    assert ["FAIL malformed - -"] == findings(bundle)


SUMS = {
    "one blank": lambda raw: raw.replace(b"  ", b" "),
    "a star before the name": lambda raw: raw.replace(b"  ", b" *"),
    "not sorted": lambda raw: b"".join(reversed(raw.splitlines(keepends=True))),
    "one twice": lambda raw: raw[:131] + raw,
    "one in place of another": lambda raw: raw[:131] + raw[:131] + raw[262:],
    "no last line end": lambda raw: raw[:-1],
    "carriage returns": lambda raw: raw.replace(b"\n", b"\r\n"),
    "capitals": lambda raw: raw.upper(),
}


@pytest.mark.parametrize("which", SUMS)
def test_of_a_list_of_sums_that_is_not_as_it_is_written(bundle, findings, which):
    spoil(bundle / "states/SHA256SUMS", SUMS[which])
    assert ["FAIL state - -"] == findings(bundle)
