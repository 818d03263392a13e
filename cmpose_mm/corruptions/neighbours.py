"""The place where `cmpose_mm.corruptions.neighbors` was."""

from cmpose_mm.old_names import old_names

_NAMES = ('is_lost', 'without_lost', 'frozen')
__getattr__ = old_names(
    __name__, {name: f'cmpose_mm.corruptions.neighbors:{name}' for name in _NAMES}
)
