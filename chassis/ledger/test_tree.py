"""The tree beside the definition of RFC 6962: roots, proofs, and every altered proof."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.ledger import tiles
from chassis.ledger.errors import LedgerError
from chassis.ledger.tiles import Tile
from chassis.ledger.tree import EMPTY_ROOT, Frontier, consistency, consistent, inclusion, leaf, node, root, root_of_inclusion

LEAVES = [leaf(str(n).encode()) for n in range(700)]


def by_definition(leaves):
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


def read(level, index):
    return by_definition(LEAVES[index << level : (index + 1) << level])


def grown(count):
    frontier = Frontier()
    for one in LEAVES[:count]:
        frontier.add(one)
    return frontier


sizes = st.integers(1, len(LEAVES))


def test_the_empty_tree_has_the_hash_of_nothing():
    assert by_definition([]) == EMPTY_ROOT == Frontier().root() == root(read, 0)


@given(sizes)
@settings(max_examples=60)
def test_a_frontier_has_the_root_of_the_definition_and_goes_on_from_its_peaks(size):
    frontier = grown(size)
    again = Frontier(frontier.size, frontier.peaks)
    copy = frontier.copy()
    copy.add(LEAVES[0])
    assert by_definition(LEAVES[:size]) == frontier.root() == again.root() == root(read, size)
    assert (size, size + 1) == (frontier.size, copy.size)
    with pytest.raises(ValueError, match="as many peaks"):
        Frontier(frontier.size, [*frontier.peaks, EMPTY_ROOT])


@given(sizes)
@settings(max_examples=60)
def test_whole_subtrees_can_be_added_where_they_fit(size):
    frontier = Frontier()
    for first in range(0, size - size % 8, 8):
        frontier.add(by_definition(LEAVES[first : first + 8]), level=3)
    for one in LEAVES[size - size % 8 : size]:
        frontier.add(one)
    assert by_definition(LEAVES[:size]) == frontier.root()
    if size % 8:
        with pytest.raises(ValueError, match="can only follow"):
            frontier.add(EMPTY_ROOT, level=3)


@given(sizes, st.data())
@settings(max_examples=80)
def test_every_inclusion_proof_leads_to_the_root_and_every_altered_one_does_not(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof, end = inclusion(read, index, size), by_definition(LEAVES[:size])
    assert end == root_of_inclusion(LEAVES[index], index, size, proof)
    for wrong in altered(proof, data):
        assert not leads(end, LEAVES[index], index, size, wrong)
    elsewhere = data.draw(st.integers(0, size - 1).filter(lambda other: other != index)) if size > 1 else size
    assert not leads(end, LEAVES[index], elsewhere, size, proof)


def leads(end, leaf_hash, index, size, proof):
    try:
        return end == root_of_inclusion(leaf_hash, index, size, proof)
    except LedgerError:
        return False


@given(sizes, st.data())
@settings(max_examples=80)
def test_every_consistency_proof_holds_and_every_altered_one_does_not(new, data):
    old = data.draw(st.integers(0, new))
    proof = consistency(read, old, new)
    before, after = by_definition(LEAVES[:old]), by_definition(LEAVES[:new])
    assert consistent(old, before, new, after, proof)
    for wrong in altered(proof, data):
        assert not consistent(old, before, new, after, wrong)
    other = leaf(b"another history")
    assert not consistent(old, other, new, after, proof)
    assert old == 0 or not consistent(old, before, new, other, proof)
    assert old == new or not consistent(new, after, old, before, proof)


def altered(proof, data):
    """A proof with a bit turned, a hash too many in front or behind, one left out, two exchanged."""
    stranger = leaf(data.draw(st.binary(max_size=4)))
    yield [*proof, stranger]
    yield [stranger, *proof]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        turned = (int.from_bytes(proof[at], "big") ^ 1 << bit).to_bytes(32, "big")
        yield [*proof[:at], turned, *proof[at + 1 :]]
        yield proof[:at] + proof[at + 1 :]
    if len(proof) > 1:
        yield [proof[1], proof[0], *proof[2:]]


def test_what_is_not_in_the_tree_has_no_proof():
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="outside the tree"):
            inclusion(read, index, size)
        with pytest.raises(LedgerError, match="does not cover"):
            root_of_inclusion(LEAVES[0], index, size, [])
    with pytest.raises(ValueError, match="not larger"):
        consistency(read, 4, 3)


def test_the_empty_tree_is_the_beginning_of_every_tree_but_no_other_tree_is_empty():
    after = by_definition(LEAVES[:5])
    assert consistent(0, EMPTY_ROOT, 5, after, [])
    assert not consistent(0, after, 5, after, [])
    assert not consistent(0, EMPTY_ROOT, 5, after, [after])


# -- files --------------------------------------------------------------------------------------------------------------------


def test_paths_are_in_groups_of_three_and_say_when_a_tile_is_partial():
    assert "tile/0/000" == Tile(0, 0).path
    assert "tile/1/x001/x234/067.p/17" == Tile(1, 1234067, 17).path
    assert "tile/entries/x001/000" == Tile("entries", 1000).path


def test_a_level_has_hashes_of_full_tiles_below_only_and_no_tile_is_empty():
    assert [Tile(0, 0)] == list(tiles.tiles(256))[:1]
    assert [Tile(0, 0), Tile(1, 0, 1)] == list(tiles.tiles(256))
    assert [Tile(0, 0), Tile(0, 1, 1), Tile(1, 0, 1)] == list(tiles.tiles(257))
    assert [] == list(tiles.tiles(0))
    assert [Tile("entries", 0), Tile("entries", 1, 44)] == list(tiles.row("entries", 300))
    assert [Tile(2, 0, 1)] == list(tiles.row(2, 65_536))


@given(sizes, st.data())
@settings(max_examples=40)
def test_proofs_made_from_tiles_are_those_of_the_tree(size, data):
    full = [by_definition(LEAVES[first : first + 256]) for first in range(0, size - 255, 256)]
    levels = [LEAVES[:size], full]

    def fetch(tile):
        return b"".join(levels[tile.level][tile.index * 256 :][: tile.width])

    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    from_tiles = tiles.reader(fetch, size, held=1)
    assert inclusion(read, index, size) == inclusion(from_tiles, index, size)
    assert consistency(read, old, size) == consistency(from_tiles, old, size)


@given(st.lists(st.binary(max_size=70), min_size=1, max_size=20))
def test_a_bundle_gives_back_its_entries_and_neither_more_nor_fewer(entries):
    raw = tiles.bundle(entries)
    assert entries == tiles.entries_of(raw, len(entries))
    for wrong, width in ((raw + b"\0", len(entries)), (raw[:-1], len(entries)), (raw, len(entries) + 1)):
        with pytest.raises(LedgerError, match="^bundle: "):
            tiles.entries_of(wrong, width)
    if len(entries) > 1:
        with pytest.raises(LedgerError, match="^bundle: "):
            tiles.entries_of(raw, len(entries) - 1)


def test_a_tile_has_as_many_hashes_as_its_name_says():
    assert LEAVES[:2] == tiles.hashes_of(LEAVES[0] + LEAVES[1], 2)
    with pytest.raises(LedgerError, match="^tile: "):
        tiles.hashes_of(LEAVES[0] + LEAVES[1], 3)
    assert node(node(*LEAVES[:2]), node(*LEAVES[2:4])) == tiles.perfect(LEAVES[:4])
