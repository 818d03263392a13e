"""Files that are there wholly or not at all."""

import pytest

from cmpose_mm.whole_files import write_whole


def test_nothing_is_left_where_a_folder_has_the_name(tmp_path):
    (tmp_path / 'a.csv').mkdir()
    with pytest.raises(OSError, match='a.csv'):
        write_whole(tmp_path / 'a.csv', b'x')
    assert [path.name for path in tmp_path.iterdir()] == ['a.csv']
