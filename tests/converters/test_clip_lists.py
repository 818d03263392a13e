"""Films, which of them are held out, and the lists of clips."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_tools import run_tool

from cmpose_mm.converters.clip_lists import film_of, is_held_out, write_clip_lists, write_held_out
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos

TOOL = Path(__file__).parents[2] / 'tools' / 'list_clips.py'
FIELDS = ['sequence', 'split', 'action', 'jhmdb_clip', 'full_body', 'source_in_train']


@pytest.mark.parametrize(
    'clip, action, film',
    [
        ('Ballfangen_catch_u_cm_np1_fr_goo_0', 'catch', 'Ballfangen'),
        # the last one counts: the film's title may name the action, too
        ('how_do_they_pour_a_beer_pour_u_cm_np1_fr_goo_0', 'pour', 'how_do_they_pour_a_beer'),
        ('Boom!_(Challenge)_@7_clap_u_nm_np1_fr_med_1', 'clap', 'Boom!_(Challenge)_@7'),
        ('Ali_shoot_ball_u_nm_np1_ba_goo_1', 'shoot_ball', 'Ali'),
    ],
)
def test_film(clip, action, film) -> None:
    assert film_of(clip, action) == film


@pytest.mark.parametrize('clip', ['walk_u_nm_np1_fr_goo_1', 'A_film_run_u_nm_np1', '_walk_u'])
def test_a_name_without_film(clip) -> None:
    with pytest.raises(AnnotationError, match='expected a name like FILM_walk_'):
        film_of(clip, 'walk')


def test_held_out_films() -> None:
    """By the last digits of the hexadecimal number alone: 16 to any power is 1 modulo 5."""
    films = [f'film {index} ä' for index in range(500)]
    for film in films:
        digits = hashlib.sha1(film.encode('utf-8')).hexdigest()
        assert is_held_out(film) == (sum(int(digit, 16) for digit in digits) % 5 == 0)
    assert 60 < sum(map(is_held_out, films)) < 140


def write_set(root: Path, rows: list[dict]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with open(root / 'clips.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        folder = root / 'annotations' / row['split']
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{row["sequence"]}.json').write_text(json.dumps(row))


def rows_of(*clips: tuple) -> list[dict]:
    return [
        dict(zip(FIELDS, (f'90000{index}_mpii_{split}', split, action, name, full, source)))
        for index, (split, action, name, full, source) in enumerate(clips)
    ]


FILMS = {held: next(f'F{i}' for i in range(99) if is_held_out(f'F{i}') == held) for held in (0, 1)}


def test_lists(tmp_path) -> None:
    rows = rows_of(
        ('train', 'run', f'{FILMS[1]}_run_f_cm_np1_ba_med_0', '1', ''),
        ('train', 'sit', f'{FILMS[1]}_sit_f_cm_np1_ba_med_0', '0', ''),
        ('train', 'run', f'{FILMS[0]}_run_f_cm_np1_ba_med_0', '1', ''),
        ('test', 'walk', f'{FILMS[1]}_walk_f_cm_np1_ba_med_0', '1', '1'),
        ('test', 'walk', 'G_walk_f_cm_np1_ba_med_0', '0', '0'),
        ('test', 'walk', 'H_walk_f_cm_np1_ba_med_0', '1', '0'),
    )
    write_set(tmp_path / 'set', rows)
    out = tmp_path / 'lists'
    counts = write_clip_lists(tmp_path / 'set', out)
    found = {
        folder.name: sorted(int(file.name[5]) for file in folder.iterdir())
        for folder in (out / 'annotations').iterdir()
    }
    assert found == {
        'train_chosen': [2],
        'held_out': [0, 1],
        'clean': [4, 5],
        'full_body': [3, 5],
        'clean_full_body': [5],
    }
    assert counts == {name: len(numbers) for name, numbers in found.items()}
    assert write_clip_lists(tmp_path / 'set', out) == counts  # again: nothing changes
    assert write_clip_lists(tmp_path / 'set') == counts
    (out / 'annotations' / 'clean' / 'mine.json').write_text('{}')
    with pytest.raises(AnnotationError, match=r'clean: holds mine.json'):
        write_clip_lists(tmp_path / 'set', out)


def test_a_column_film_counts_before_the_name(tmp_path) -> None:
    rows = rows_of(('train', 'run', f'{FILMS[1]}_run_f_cm_np1_ba_med_0', '1', ''))
    rows[0]['film'] = FILMS[0]
    write_set(tmp_path, rows)
    assert write_clip_lists(tmp_path)['train_chosen'] == 1


def test_names_of_videos_that_are_not_utf8(tmp_path) -> None:
    folder = tmp_path / 'annotations' / 'train'
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b'caf\xe9.json')).write_text('{}')
    counts = write_held_out(tmp_path)
    is_out = int.from_bytes(hashlib.sha1(b'caf\xe9').digest(), 'big') % 5 == 0
    assert counts == {'train_chosen': 1 - is_out, 'held_out': int(is_out)}


def test_wrong_tables(tmp_path) -> None:
    with pytest.raises(AnnotationError, match='clips.csv: not found'):
        write_clip_lists(tmp_path)
    rows = rows_of(('train', 'run', 'F_run_f', '1', ''), ('test', 'run', 'G_run_f', '1', '0'))
    write_set(tmp_path, rows)
    (tmp_path / 'annotations' / 'test' / '900001_mpii_test.json').unlink()
    with pytest.raises(AnnotationError, match='sequence 900001_mpii_test has no labels, expected'):
        write_clip_lists(tmp_path)
    write_set(tmp_path / 'b', [{k: v for k, v in row.items() if k != 'full_body'} for row in rows])
    with pytest.raises(AnnotationError, match="no column 'full_body', found sequence, split"):
        write_clip_lists(tmp_path / 'b')
    penn = [{k: v for k, v in row.items() if k != 'jhmdb_clip'} for row in rows]
    write_set(tmp_path / 'c', penn)
    with pytest.raises(AnnotationError, match='neither "film" nor "jhmdb_clip"'):
        write_clip_lists(tmp_path / 'c')


@pytest.mark.slow
def test_lists_of_the_real_clips(real_data, tmp_path) -> None:
    """The table's own column about films agrees with the films that the names tell."""
    root = real_data / 'jhmdb'
    command = [sys.executable, TOOL, root, '--out', tmp_path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.splitlines() == [
        'annotations/train_chosen: 354 clips',
        'annotations/held_out: 79 clips',
        'annotations/clean: 90 clips',
        'annotations/full_body: 64 clips',
        'annotations/clean_full_body: 41 clips',
    ]
    with open(root / 'clips.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    order = sorted(rows, key=lambda row: (row['action'], row['jhmdb_clip']))
    assert order == sorted(rows, key=lambda row: row['sequence'][:6])
    film = {row['sequence']: film_of(row['jhmdb_clip'], row['action']) for row in rows}
    trained = {film[row['sequence']] for row in rows if row['split'] == 'train'}
    for row in rows:
        if row['split'] == 'test':
            assert (film[row['sequence']] in trained) == (row['source_in_train'] == '1')
    lists = {
        name: {video.name for video in read_videos(tmp_path / 'annotations' / name)}
        for name in ('train_chosen', 'held_out', 'clean')
    }
    films = {name: {film[sequence] for sequence in of} for name, of in lists.items()}
    assert len(films['held_out']) == 34 and len(films['clean']) == 37
    assert not films['held_out'] & films['train_chosen']
    assert not films['clean'] & (films['held_out'] | films['train_chosen'])


def test_held_out_videos_of_other_data_sets(tmp_path):
    folder = tmp_path / 'annotations' / 'train'
    folder.mkdir(parents=True)
    names = [f'{number:06d}_mpii_train' for number in range(60)]
    for name in names:
        (folder / f'{name}.json').write_text(name)
    done = run_tool(TOOL, tmp_path, '--by-video')
    assert done.returncode == 0, done.stderr
    held_out = [n for n in names if int(hashlib.sha1(n.encode()).hexdigest(), 16) % 5 == 0]
    assert f'annotations/held_out: {len(held_out)} clips' in done.stdout and len(held_out) > 3
    for kind, expected in (('held_out', held_out), ('train_chosen', {*names} - {*held_out})):
        found = {
            path.stem: path.read_text() for path in (tmp_path / 'annotations' / kind).iterdir()
        }
        assert found == {name: name for name in expected}
    (tmp_path / 'annotations' / 'held_out' / 'old.json').touch()
    with pytest.raises(AnnotationError, match='held_out: holds old.json and 0 other files'):
        write_held_out(tmp_path)
    done = run_tool(TOOL, tmp_path / 'nothing', '--by-video')
    assert done.returncode == 1 and 'has no label files' in done.stderr


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'has no rows, expected one for each clip'),
        ('v\n', 'row 1 after the header has 1 cells, expected 5'),
        ('v,test,1,0,f\nv,test,1,0,f,more\n', 'row 2 after the header has 6 cells, expected 5'),
        ('v,test,1,False,f\n', "source_in_train of sequence v is 'False', expected 0 or 1"),
        ('v,test,1,,f\n', "source_in_train of sequence v is '', expected 0 or 1"),
        ('v,val,1,0,f\n', "split of sequence v is 'val', expected train or test"),
        ('v,test,yes,0,f\n', "full_body of sequence v is 'yes', expected 0 or 1"),
    ],
)
def test_tables_that_are_not_whole(tmp_path, text, message) -> None:
    folder = tmp_path / 'annotations' / 'test'
    folder.mkdir(parents=True)
    (folder / 'v.json').write_text('{}')
    table = tmp_path / 'clips.csv'
    table.write_text(f'sequence,split,full_body,source_in_train,film\n{text}')
    with pytest.raises(AnnotationError, match=message):
        write_clip_lists(tmp_path)
    assert not (tmp_path / 'annotations' / 'clean').exists()


def test_a_table_in_another_encoding(tmp_path) -> None:
    (tmp_path / 'clips.csv').write_bytes('sequence,film\nv,Amélie\n'.encode('cp1252'))
    with pytest.raises(AnnotationError, match=r'clips\.csv: expected a table in UTF-8 \('):
        write_clip_lists(tmp_path)


def test_hidden_files_are_no_videos(tmp_path) -> None:
    folder = tmp_path / 'annotations' / 'train'
    folder.mkdir(parents=True)
    for name in ('v.json', '._v.json'):
        (folder / name).write_text('{}')
    assert sum(write_held_out(tmp_path).values()) == 1
    assert not [*tmp_path.glob('annotations/*/._v.json')][1:]  # that of the training set alone
