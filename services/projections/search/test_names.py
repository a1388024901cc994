"""Names and numbers in memory: found however they are written, in the right order, and gone without a trace when dropped."""

import unicodedata
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.projections.search.folding import words
from services.projections.search.names import Names, Numbers, dialled

TI, NA, DAO, DAO_PLAIN, AN = (UUID(int=n) for n in range(1, 6))
NAMES = {TI: "Mẫu Văn Tí", NA: "Mẫu Thị Na", DAO: "Thử Thị Đào", DAO_PLAIN: "Thu Thi Dao", AN: "Mẫu Văn Tí An"}


@pytest.fixture
def names():
    held = Names()
    for person, name in NAMES.items():
        held.put(person, name)
    return held


def ask(names, query):
    """(person, likeness) of everybody found, best first."""
    return [(each.person, each.likeness) for each in names.find(words(query))]


@pytest.mark.parametrize(
    "query", ["Mẫu Văn Tí", "Tí Mẫu Văn", "tí văn mẫu", unicodedata.normalize("NFD", "MẪU VĂN TÍ"), "Văn Tí", "Tí"]
)
def test_a_name_is_found_by_any_of_its_words_in_any_order(names, query):
    assert [(TI, "same"), (AN, "same")] == ask(names, query)


def test_who_is_spelled_exactly_so_comes_before_who_is_so_without_marks(names):
    assert [(DAO, "same"), (DAO_PLAIN, "without_marks")] == ask(names, "Thử Thị Đào")
    assert [(DAO_PLAIN, "same"), (DAO, "without_marks")] == ask(names, "thu thi dao")


def test_of_two_that_are_called_alike_the_newer_one_comes_first(names):
    names.put(NA, "Mẫu Văn Tí")
    assert [NA, TI, AN] == [person for person, _ in ask(names, "Mẫu Văn Tí")]


@pytest.mark.parametrize("query", ["Mau Vna Ti", "Mua Van Ti", "Mau Vann Ti", "Maau Vawn Tis", "Mẫu Vân Tí"])
def test_a_slip_is_forgiven(names, query):
    assert TI == ask(names, query)[0][0]


@pytest.mark.parametrize("query", ["Mua Vna Ti", "Mau Lan Ti", "Mau Van Te", "Mau Van Tii", "M V T", "Mau Van Ti Na", "Tí Tí"])
def test_two_slips_another_short_word_initials_or_a_word_too_many_are_another_name(names, query):
    assert [] == ask(names, query)


def test_whoever_asks_for_nothing_or_for_a_novel_finds_nobody(names):
    assert [] == names.find(words("")) == names.find(words("mau " * 13))


def test_a_new_name_takes_the_place_of_the_old_one(names):
    names.put(TI, "Thử Văn Bờm")
    assert [(AN, "same")] == ask(names, "Mẫu Văn Tí")
    assert [(TI, "same")] == ask(names, "Thử Văn Bờm")
    assert len(NAMES) == len(names)


def test_a_name_that_says_a_word_twice_is_dropped_whole(names):
    names.put(TI, "Na Na Na")
    assert [(TI, "same")] == ask(names, "na na")
    names.drop(TI)
    names.drop(TI)
    assert [(NA, "same")] == ask(names, "na")


NAME = st.lists(
    st.sampled_from(
        [
            "Mẫu",
            "Thử",
            "Giả",
            "Văn",
            "Thị",
            "Tí",
            "Na",
            "An",
            "Ân",
            "Đào",
            "Dao",
            "Hòa",
            "Hoà",
            "Ánh",
            "Anh",
            "Linh",
            "Minh",
            "Thúy",
            "H'Mai",
            "Y",
        ]
    ),
    min_size=1,
)


@given(st.dictionaries(st.uuids(), NAME, max_size=30), st.randoms())
def test_everybody_is_found_by_their_own_name_however_it_is_ordered_and_folded_and_nobody_after_they_are_dropped(people, random):
    held = Names()
    for person, name in people.items():
        held.put(person, " ".join(name))
    for person, name in people.items():
        if len(name) <= 12:
            random.shuffle(name)
            assert (person, "same", 0) in [each[:3] for each in held.find(words(" ".join(name)))]
            assert person in {each.person for each in held.find(words(" ".join(words(" ".join(name)).folded)))}
    for person in people:
        held.drop(person)
    assert (0, {}, {}) == (len(held), held._words, held._folded)


@pytest.mark.parametrize(
    ("written", "dialled_as"),
    [
        ("0320 000 017", "0320000017"),
        ("+84 320 000 017", "0320000017"),
        ("0084.320.000.017", "0320000017"),
        ("84320000017", "0320000017"),
        ("(032) 000-0017", "0320000017"),
        ("111", "111"),
        ("An@Nguoi-Dan.example", "an@nguoi-dan.example"),
        ("zalo:Người Mẫu", "zalo:người mẫu"),
    ],
)
def test_a_number_is_one_number_however_it_is_written(written, dialled_as):
    assert dialled_as == dialled(written)


def test_a_number_is_found_whole_or_not_at_all_and_not_after_it_is_dropped():
    held = Numbers()
    held.put(TI, "0320000017")
    held.put(NA, "+84320000017")
    held.put(NA, "na@mau.example")
    held.put(NA, "0320000017")
    assert (NA, TI) == held.find("0320 000017")
    assert () == held.find("032000001") + held.find("mau.example") + held.find("")
    held.drop(NA)
    held.drop(NA)
    assert ((TI,), ()) == (held.find("0320000017"), held.find("na@mau.example"))
    held.drop(TI)
    assert ({}, {}) == (held._of, held._persons)
