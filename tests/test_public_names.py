"""What packages promise to hand out."""

import importlib
import pkgutil

import pytest

import cmpose_mm

PACKAGES = ['cmpose_mm'] + [
    module.name for module in pkgutil.walk_packages(cmpose_mm.__path__, 'cmpose_mm.')
]


@pytest.mark.parametrize('name', PACKAGES)
def test_every_public_name_exists(name):
    module = importlib.import_module(name)
    public = getattr(module, '__all__', [])
    assert [entry for entry in public if not hasattr(module, entry)] == []
