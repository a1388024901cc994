"""Which spellings of a Vietnamese name are the same, and which are only alike."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.projections.search.folding import fold, spoken, untelex, words

ONE_NAME = [
    ("Mẫu Văn Tí", unicodedata.normalize("NFD", "Mẫu Văn Tí")),
    ("Mẫu Văn Tí", "MẪU  VĂN\tTÍ"),
    ("Thử Hoà", "Thử Hòa"),  # old and new place of the tone
    ("Mẫu Thúy", "Mẫu Thuý"),
    ("Mẫu Quý", "Mẫu Qúy"),  # misplaced
    ("Đào Thị Mẫu", "Ðào Thị Mẫu"),  # U+0110, and U+00D0 out of copied text
    ("đào thị mẫu", "ðào thị mẫu"),
    ("H'Mai Thử", "H’Mai Thử"),
    ("H'Mai Thử", "HʼMai Thử"),
    ("H'Mai Thử", "H' Mai Thử"),
    ("Y Blơ (thử)", "y blơ thử"),
    ("Mẫu-Văn Tí", "Mẫu Văn Tí"),
    ("Ｍẫu Văn Tí", "Mẫu Văn Tí"),  # a wide letter
]


@pytest.mark.parametrize(("one", "other"), ONE_NAME)
def test_two_spellings_of_one_name_are_the_same_with_every_mark(one, other):
    assert words(one) == words(other)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Nguyễn Thị Thử Ánh", "nguyen thi thu anh"),
        ("Đặng Đình Mẫu", "dang dinh mau"),
        ("Ðặng Mẫu", "dang mau"),
        ("Lý Mỹ Thử", "li mi thu"),
        ("Lí Mĩ Thử", "ly my thu"),
        ("Trương Ưng Mẫu", "truong ung mau"),
        ("Ê Ban H'Ƀơk", "e ban hbok"),  # marks and letters of other languages of the country
        ("Ksor Ŏ̆", "ksor o"),
    ],
)
def test_without_marks_they_are_typed_like_this(name, typed):
    assert words(name).folded == words(typed).folded


@pytest.mark.parametrize(("one", "other"), [("hoa", "hóa"), ("an", "ân"), ("dao", "đào"), ("ma", "mã"), ("lý", "lí"), ("ơ", "ô")])
def test_words_with_other_marks_are_others_and_fold_alike(one, other):
    assert spoken(one) != spoken(other)
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Nguyeenx", "nguyen"),
        ("ddaof", "dao"),
        ("Vawn", "van"),
        ("Truwowng", "truong"),
        ("Dduwcs", "duc"),
        ("hoangf", "hoang"),
        ("hoafng", "hoang"),
        ("tr" + "aanf", "tran"),
        ("tw", "tu"),
    ],
)
def test_raw_telex_keystrokes_are_understood(typed, meant):
    (folded,) = words(typed).folded
    assert meant.replace("y", "i") == untelex(folded)


@pytest.mark.parametrize("word", ["son", "rang", "xuan", "truong", "hanh", "phuc", "mai", "linh"])
def test_a_word_without_telex_stays_as_it_is(word):
    assert word == untelex(word)


@pytest.mark.parametrize("text", ["", "   ", "'", "’ ", "-- . ,", "\u0301\u0323", "_", "\0"])
def test_where_there_is_no_letter_there_is_no_word(text):
    assert ((), ()) == words(text)


@given(st.text(max_size=60))
def test_any_text_has_words_and_its_normal_form_changes_nothing(text):
    found = words(text)
    assert len(found.spoken) == len(found.folded)
    assert found == words(unicodedata.normalize("NFC", text))
    assert all(found.folded)


VIETNAMESE = "aàảãáạăằẳẵắặâầẩẫấậbcdđeèẻẽéẹêềểễếệghiìỉĩíịklmnoòỏõóọôồổỗốộơờởỡớợpqrstuùủũúụưừửữứựvxyỳỷỹýỵ"


@given(st.text(VIETNAMESE, min_size=1, max_size=7))
def test_what_is_folded_holds_no_mark_and_folds_to_itself(word):
    folded = fold(word)
    assert folded.isascii()
    assert folded == fold(folded)
    assert fold(spoken(word)) == folded
    assert words(word) == words(unicodedata.normalize("NFD", word.upper()))
