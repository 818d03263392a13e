"""Names of earlier versions that configs and users' code may hold."""

import pytest

import cmpose_mm.corruptions
import cmpose_mm.visualization


@pytest.mark.parametrize(
    'module, old, new',
    [
        (cmpose_mm.corruptions, 'NEIGHBOUR_CORRUPTIONS', 'NEIGHBOR_CORRUPTIONS'),
        (cmpose_mm.visualization, 'joint_colours', 'joint_colors'),
        (cmpose_mm.visualization, 'side_colour', 'side_color'),
    ],
)
def test_old_spellings_of_public_names(module, old, new):
    with pytest.warns(FutureWarning, match=f'{old} is called .*{new} now'):
        assert getattr(module, old) is getattr(module, new)
    with pytest.raises(AttributeError, match='no_such_name'):
        module.no_such_name  # noqa: B018


def test_old_registry_name():
    transforms = pytest.importorskip('mmpose.registry').TRANSFORMS
    assert transforms.get('CorruptNeighbours') is transforms.get('CorruptNeighbors')
