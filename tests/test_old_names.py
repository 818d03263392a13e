"""Names of earlier versions that configs and users' code may hold."""

import importlib
import warnings

import pytest

import cmpose_mm.corruptions
import cmpose_mm.posetrack.persons
import cmpose_mm.visualization


@pytest.mark.parametrize(
    'module, old, new',
    [
        (cmpose_mm.corruptions, 'NEIGHBOUR_CORRUPTIONS', 'NEIGHBOR_CORRUPTIONS'),
        (cmpose_mm.corruptions.severities, 'NEIGHBOUR_CORRUPTIONS', 'NEIGHBOR_CORRUPTIONS'),
        (cmpose_mm.posetrack.persons, 'labelled_persons', 'labeled_persons'),
        (cmpose_mm.visualization, 'joint_colours', 'joint_colors'),
        (cmpose_mm.visualization, 'side_colour', 'side_color'),
    ],
)
def test_old_spellings_of_public_names(module, old, new):
    with pytest.warns(FutureWarning, match=f'{old} is called .*{new} now'):
        assert getattr(module, old) is getattr(module, new)
    with pytest.raises(AttributeError, match='no_such_name'):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    'old, new, names',
    [
        ('corruptions.neighbours', 'corruptions.neighbors', 'is_lost without_lost frozen'),
        (
            'models.cmpose.causal_selection',
            'models.layers.token_selection',
            'select_exclusive select_union SELECTIONS',
        ),
        (
            'models.cmpose.stateless_random',
            'models.layers.stateless_random',
            'hash_rows standard_normals draw_seeds',
        ),
        (
            'models.cmpose.token_clustering',
            'models.layers.token_clustering',
            'pairwise_squared_distances log_density separation cluster_tokens merge_tokens '
            'restore_tokens',
        ),
    ],
)
def test_modules_of_before(old, new, names):
    if old.startswith('models'):
        pytest.importorskip('torch')
    before, now = (importlib.import_module(f'cmpose_mm.{name}') for name in (old, new))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)
        for name in names.split():
            assert getattr(before, name) is getattr(now, name)


def test_old_registry_name():
    transforms = pytest.importorskip('mmpose.registry').TRANSFORMS
    assert transforms.get('CorruptNeighbours') is transforms.get('CorruptNeighbors')
    module = importlib.import_module('cmpose_mm.datasets.transforms')
    with pytest.warns(FutureWarning, match='is called .*CorruptNeighbors now'):
        assert module.CorruptNeighbours is module.CorruptNeighbors
