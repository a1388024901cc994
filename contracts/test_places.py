"""Places: a code means a unit only together with a day."""

from collections import Counter

import pytest
from pydantic import TypeAdapter, ValidationError

from contracts import places

PLACE = TypeAdapter(places.Place)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("99801", "place-without-date"),
        ("99801@", "place-without-date"),
        ("99801@2025-7-1", "place-without-date"),
        ("Xã Suối Mẫu@2025-07-01", "place-without-date"),
        ("99801@2025-07-01\n", "place-without-date"),
        ("99801@2024-07-01", "unknown-place"),
        ("99802@2025-07-01", "unknown-place"),
    ],
)
def test_a_place_without_a_date_or_unknown_is_refused(text, code):
    with pytest.raises(ValidationError) as refused:
        PLACE.validate_python(text)
    assert [code] == [error["type"] for error in refused.value.errors()]


def test_a_place_this_build_does_not_know_may_be_heard_but_never_without_its_date():
    assert PLACE.validate_python("99802@2027-01-01", context={"heard": True}) == "99802@2027-01-01"
    with pytest.raises(ValidationError):
        PLACE.validate_python("99802", context={"heard": True})


def test_there_are_34_provinces_and_3321_communes_of_three_kinds():
    kinds = Counter(unit.kind for unit in places.units().values() if not unit.invented)
    assert kinds == {"city": 6, "province": 28, "xa": 2621, "phuong": 687, "dac_khu": 13, "centre": 3, "nation": 1}


def test_every_commune_lies_in_a_known_province():
    for unit in places.units().values():
        if unit.kind in {"xa", "phuong", "dac_khu"}:
            assert places.units()[unit.province].kind in {"province", "city"}


def test_codes_are_text_and_keep_their_zeros():
    assert (
        places.label("00004@2025-07-01"),
        places.province_of("00004@2025-07-01"),
        places.label("01@2025-07-01"),
    ) == ("Phường Ba Đình", "01@2025-07-01", "Thành phố Hà Nội")


def test_a_province_is_its_own_and_a_centre_has_none():
    found = {place: places.province_of(place) for place in ("98@2025-07-01", places.NATION, "hanoi@2025-07-01", "x@1")}
    assert found == {"98@2025-07-01": "98@2025-07-01", "vn@2025-07-01": None, "hanoi@2025-07-01": None, "x@1": None}


def test_names_that_differ_only_in_their_marks_are_different_communes():
    names = {places.label(place) for place in places.communes_of("31@2025-07-01")}
    assert {"Xã Cẩm Giang", "Xã Cẩm Giàng"} <= names


def test_the_places_of_the_stories_are_marked_as_invented_and_nothing_else_is():
    assert {"98@2025-07-01", "99801@2025-07-01", "99803@2025-07-01"} == {
        place for place, unit in places.units().items() if unit.invented
    }
    assert places.province_of("99801@2025-07-01") == "98@2025-07-01"


def test_the_centres_are_ha_noi_da_nang_and_an_giang():
    assert [places.label(centre) for centre in places.CENTRES] == [
        "Trung tâm vùng Hà Nội",
        "Trung tâm vùng Đà Nẵng",
        "Trung tâm vùng An Giang",
    ]
