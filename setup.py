"""Build of cmpose_mm: a plain Python package plus what mim reads, in ``cmpose_mm/.mim/``.

The metadata is here and not in pyproject.toml because environments with mim often have setuptools
60, which does not know pyproject's [project] table.
"""

import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_FILES = ('configs', 'tools', 'model-index.yml')


def link_mim_files() -> None:
    """In a checkout, .mim/ holds links: an edited config counts at once."""
    folder = ROOT / 'cmpose_mm' / '.mim'
    folder.mkdir(exist_ok=True)
    for name in MIM_FILES:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(Path('..', '..', name))


class BuildWithMimFiles(build_py):
    """Adds .mim/: copies in a wheel, links in an editable install."""

    def run(self):
        super().run()
        if getattr(self, 'editable_mode', False):
            link_mim_files()
            return
        folder = Path(self.build_lib) / 'cmpose_mm' / '.mim'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in MIM_FILES:
            if (ROOT / name).is_dir():
                ignore = shutil.ignore_patterns('__pycache__', '*.pyc')
                shutil.copytree(ROOT / name, folder / name, ignore=ignore)
            else:
                shutil.copy(ROOT / name, folder / name)


def version() -> str:
    scope: dict = {}
    exec((ROOT / 'cmpose_mm' / 'version.py').read_text(), scope)
    return scope['__version__']


# What the packages of requirements-light-nodeps.txt import, from torch on; they cannot be installed
# with what they declare. pycocotools does the work of xtcocotools. opencv 5 has another API, and
# openmim imports pkg_resources, which setuptools 81 dropped.
LIGHT = [
    'torch>=2.0', 'torchvision', 'numpy', 'opencv-python-headless<5', 'pycocotools',
    'setuptools<81', 'addict', 'click', 'colorama', 'einops', 'importlib-metadata', 'json-tricks',
    'mat4py', 'matplotlib', 'model-index', 'modelindex', 'munkres', 'packaging', 'pandas',
    'pillow', 'pip', 'pyyaml', "regex; sys_platform == 'win32'", 'requests', 'rich', 'scipy', 'six',
    'tabulate', 'termcolor', 'yapf',
]  # fmt: skip

if 'develop' in sys.argv:  # the editable install of setuptools before 64 runs no build_py
    link_mim_files()

readme = ROOT / 'README.md'
setup(
    name='cmpose_mm',
    version=version(),
    description='Video human pose estimation (CM-Pose) and PoseTrack evaluation for MMPose',
    long_description=readme.read_text('utf-8') if readme.is_file() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['cmpose_mm', 'cmpose_mm.*', 'cmpose_cli']),
    entry_points={'console_scripts': ['cmpose = cmpose_cli.__main__:main']},
    package_data={'cmpose_mm.weights': ['*.pth', 'SHA256SUMS', '*.md']},
    python_requires='>=3.9',
    # Never torch, numpy, mmcv, mmengine, mmdet or mmpose, and no versions: a working MMPose, which
    # has Pillow and SciPy, stays as it is. docs/install.md tells how to get one.
    install_requires=['cachetools', 'orjson', 'pillow', 'scipy', 'tabulate', 'tqdm'],
    # The first three are imported where used; a clear message names them if they are missing.
    extras_require={
        'video': ['av>=12.3,<19'],
        'export': ['onnx', 'onnxruntime'],
        'tables': ['pyarrow'],
        'light': LIGHT,
    },
    cmdclass={'build_py': BuildWithMimFiles},
    zip_safe=False,
)
