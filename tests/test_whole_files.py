"""Files that are there wholly or not at all."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cmpose_mm.whole_files import write_whole


def test_pipes_are_written_to(tmp_path):
    """As `cmpose convert a.json coco >(gzip > a.json.gz)` needs it."""
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        found = reader.submit(pipe.read_bytes)
        write_whole(pipe, b'x')
        assert found.result(timeout=60) == b'x'
    assert pipe.is_fifo() and [path.name for path in tmp_path.iterdir()] == ['pipe']


def test_standard_output_that_is_a_file(tmp_path):
    code = "from cmpose_mm.whole_files import write_whole; write_whole('/dev/stdout', b'x')"
    with open(tmp_path / 'out', 'wb') as out:
        subprocess.run([sys.executable, '-c', code], stdout=out, check=True)
    assert (tmp_path / 'out').read_bytes() == b'x' and Path('/dev/stdout').is_symlink()


def test_what_a_link_leads_to_stays(tmp_path):
    (tmp_path / 'read.json').write_bytes(b'given')
    (tmp_path / 'out.json').symlink_to('read.json')
    write_whole(tmp_path / 'out.json', b'x')
    assert (tmp_path / 'read.json').read_bytes() == b'given'
    assert (tmp_path / 'out.json').read_bytes() == b'x'


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
    (tmp_path / 'a').write_bytes(b'')
    for place in ('a/b.json', 'a/b/c.json'):
        with pytest.raises(
            OSError, match=r'[bc]\.json: can not be written, .*/a(/b)? is no folder$'
        ):
            write_whole(tmp_path / place, b'x')


def test_nothing_is_left_where_a_folder_has_the_name(tmp_path):
    (tmp_path / 'a.csv').mkdir()
    with pytest.raises(OSError, match='a.csv'):
        write_whole(tmp_path / 'a.csv', b'x')
    assert [path.name for path in tmp_path.iterdir()] == ['a.csv']
