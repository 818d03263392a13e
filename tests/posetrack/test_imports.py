"""What the readers need: NumPy, orjson, Pillow and tqdm; SciPy for .mat files alone."""

from __future__ import annotations

import subprocess
import sys

from label_files import coco, person, write

CODE = """
import sys
for name in ('torch', 'cv2', 'mmcv', 'mmengine', 'mmpose', 'scipy'):
    sys.modules[name] = None
import cmpose_mm.posetrack.check, cmpose_mm.posetrack.predictions
from cmpose_mm.posetrack.annotations import read_videos
print(len(read_videos(sys.argv[1])[0].frames[0].keypoints))
"""


def test_readers_need_no_framework(tmp_path) -> None:
    path = write(tmp_path / 'a.json', coco([[person({'nose': (1, 2)})]]))
    done = subprocess.run([sys.executable, '-c', CODE, path], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('1\n', '')
