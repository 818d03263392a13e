"""Tables in Markdown."""

from __future__ import annotations

from cmpose_mm.evaluation.report import format_table, markdown_table


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()]


def test_numbers_are_rounded_and_to_the_right() -> None:
    rows = {'AP': {'Head': 81.25, 'n': 7, 'x': 0}, 'a longer name': {'Head': float('nan'), 'n': 12}}
    table = format_table(rows, ['Head', 'n'])
    header, rule, *body = cells(table)
    assert header == ['', 'Head', 'n']
    assert set(rule[0]) == {'-'}
    assert all(set(cell[:-1]) == {'-'} and cell[-1] == ':' for cell in rule[1:])
    assert body == [['AP', '81.2', '7'], ['a longer name', '-', '12']]
    assert len({len(line) for line in table.splitlines()}) == 1


def test_text_is_taken_as_it_is() -> None:
    """Not for the number that it might be: 1.50 stays 1.50."""
    rows = [['1e3', '1.50', 2], ['', '+1.2 ± 0.4', '007']]
    header, rule, *body = cells(markdown_table(['a', 'b', 'c'], rows))
    assert header == ['a', 'b', 'c']
    assert all(set(cell) == {'-'} for cell in rule)
    assert body == [['1e3', '1.50', '2'], ['', '+1.2 ± 0.4', '007']]
    assert len(cells(markdown_table(['a', 'b'], []))) == 2
