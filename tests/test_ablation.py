"""The ablation runner: table arithmetic, resuming, and that each variant's overrides exist."""

import json
import statistics

import pytest
from mmengine import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from cmpose_mm import config_path
from cmpose_mm.ablation import (
    ABLATIONS,
    COLUMNS,
    last_validation,
    results_table,
    run_ablation,
    train_once,
)


def metrics(value: float) -> dict:
    return {f'{column} AP': value + i for i, column in enumerate(COLUMNS)}


def test_table_has_mean_and_sample_deviation():
    table = results_table({'a': {0: metrics(50.0), 1: metrics(53.0)}, 'b': {0: metrics(40.0)}})
    rows = [row.strip('|').split('|') for row in table.splitlines()]
    assert [cell.strip() for cell in rows[2][:3]] == ['a', '2', '51.5 ± 2.1']
    assert statistics.stdev([50.0, 53.0]) == pytest.approx(2.1213, abs=1e-4)
    assert [cell.strip() for cell in rows[3][:4]] == ['b', '1', '40.0', '41.0']


def test_last_validation_follows_the_step_over_resumed_runs(tmp_path):
    for folder, steps in (('20260101', [1, 2]), ('20260102', [2, 3])):
        log = tmp_path / folder / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text(
            ''.join(
                json.dumps({'loss': 1.0, 'step': s})
                + '\n'
                + json.dumps({'posetrack/AP': s, 'step': s})
                + '\n'
                for s in steps
            )
        )
    assert last_validation(tmp_path) == {'AP': 3}


def test_no_validation_is_an_error(tmp_path):
    with pytest.raises(ValueError, match='no validation result'):
        last_validation(tmp_path)


def test_finished_runs_are_not_repeated(tmp_path):
    (tmp_path / 'metrics.json').write_text('{"AP": 7.0}')
    assert train_once('does_not_exist.py', {}, tmp_path) == {'AP': 7.0}


def test_unknown_set(tmp_path):
    with pytest.raises(ValueError, match="no ablation named 'table9'; there are table4"):
        run_ablation('table9', 'config.py', [0], tmp_path)


@pytest.mark.parametrize('name', ABLATIONS)
def test_every_variant_builds_and_differs(name):
    built = []
    for overrides in ABLATIONS[name].values():
        config = Config.fromfile(config_path('cmpose_vit-s_posetrack17.py'))
        config.merge_from_dict(overrides)
        init_default_scope(config.default_scope)
        MODELS.build(config.model.method)
        built.append(repr(config.model.method))
    assert len(set(built)) == len(built)
