"""Checks that everything works on a machine with CUDA, and prints one line for each check.

Renders a few videos and then checks, on all GPUs of the machine: a short training (with NCCL if
there are several GPUs), mixed precision in float16 and bfloat16, a training that is killed and
resumed, `mim test`, a compiled model, and an exported model. Everything is run as a user would run
it; the output of the commands stays in the work folder. Exit status 1 if something failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tabulate import tabulate

from cmpose_mm.apis.loading import find_config, load_pose_model
from cmpose_mm.engine.bfloat16_optim_wrapper import has_bfloat16

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 2
KILLED_IN_TRAINING = re.compile(r'Epoch\(train\)\s+\[2\]')


class Failed(Exception):
    """A check failed; the message says where to look."""


class Skipped(Exception):
    """This machine cannot run a check; the message says why."""


class Checks:
    """The checks; later ones use the data and checkpoints of earlier ones.

    Args:
        config: of the model to train.
        folder: for data, checkpoints and logs.
        device: 'cuda' or 'cpu'.
    """

    def __init__(self, config: str, folder: Path, device: str) -> None:
        self.config, self.folder, self.device = find_config(config), folder, device
        self.num_gpus = torch.cuda.device_count() if device == 'cuda' else 0
        root = str(folder / 'data')
        self.data = [
            f'{loader}_dataloader.dataset.data_root={root}' for loader in ('train', 'val', 'test')
        ]
        self.data += [
            f'{which}_evaluator.ann_file={root}/annotations/val' for which in ('val', 'test')
        ]

    def all(self) -> dict[str, Callable[[], str]]:
        """Name of each check -> its function, which returns a short result."""
        return {
            'render data': self.render,
            f'train, {self.num_gpus or "no"} GPUs': self.train,
            'float16': lambda: self.train_in('float16'),
            'bfloat16': lambda: self.train_in('bfloat16'),
            'killed and resumed': self.resume,
            'mim test': self.test,
            'torch.compile': self.compile,
            'export to ONNX': self.export,
        }

    # ---- checks ------------------------------------------------------------------------------

    def render(self) -> str:
        """Renders videos to train on."""
        tool = ROOT / 'tools' / 'make_synthetic_posetrack.py'
        sizes = '--train 8 --val 2 --frames 4 --size 160 120 --workers 1'.split()
        self._run('render', [tool, self.folder / 'data', *sizes])
        return '10 videos'

    def train(self) -> str:
        """A training with its last validation."""
        output = self._run('train', self._training('train'))
        return f'AP {_ap(output):.1f}'

    def train_in(self, precision: str) -> str:
        """A training in mixed precision."""
        if precision == 'float16' and self.device == 'cpu':
            raise Skipped('float16 with loss scaling needs CUDA')
        if precision == 'bfloat16' and not has_bfloat16(self.device):
            raise Skipped('this device is not faster in bfloat16')
        if precision == 'float16':
            command = self._training(precision, '--amp')
        else:
            command = self._training(precision, options=['optim_wrapper.type=BFloat16OptimWrapper'])
        return f'AP {_ap(self._run(precision, command)):.1f}'

    def resume(self) -> str:
        """Killed in the second epoch and resumed, a training ends with the same weights."""
        command = [sys.executable, *map(str, self._training('killed'))]
        with open(self.folder / 'killed.log', 'w') as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env=self._environment(),
            )  # fmt: skip
            while not KILLED_IN_TRAINING.search((self.folder / 'killed.log').read_text()):
                if process.poll() is not None:
                    raise Failed(f'ended before the second epoch, see {log.name}')
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._run('resumed', [*self._training('killed', '--resume')])
        whole, resumed = (
            torch.load(self._checkpoint(name), map_location='cpu')['state_dict']
            for name in ('train', 'killed')
        )
        largest = max(
            float((whole[name].float() - resumed[name].float()).abs().max()) for name in whole
        )
        # On a GPU, even two uninterrupted trainings differ, as sums have another order.
        if largest > (1e-2 if self.device == 'cuda' else 1e-6):
            raise Failed(f'weights differ from those of the whole training by {largest:.1e}')
        return f'weights differ by at most {largest:.1e}'

    def test(self) -> str:
        """Tests the training's checkpoint in another process."""
        command = [
            '-m',
            'mim',
            'test',
            'mmpose',
            self.config,
            '--checkpoint',
            self._checkpoint('train'),
        ]
        command += ['--work-dir', self.folder / 'test', *self._processes()]
        output = self._run('test', [*command, '--cfg-options', *self.data])
        return f'AP {_ap(output):.1f}'

    def compile(self) -> str:
        """Compares the heatmaps of the compiled model with the model's."""
        model = self._model()
        clips = torch.randn(2, model.method.num_frames, 3, *self._input_size(model)[::-1])
        clips = clips.to(self.device)
        # On a CPU, generating code takes minutes, and is not the point of this check.
        backend = 'inductor' if self.device == 'cuda' else 'aot_eager'
        with torch.no_grad():
            expected = model(clips, None, mode='tensor')
            compiled = torch.compile(model, fullgraph=True, backend=backend)
            found = compiled(clips, None, mode='tensor')
        return _close(found, expected, 1e-3)

    def export(self) -> str:
        """Compares the heatmaps of the exported model with the model's."""
        from cmpose_mm.apis.export import export_onnx, largest_difference

        path = self.folder / 'model.onnx'
        model = self._model()
        export_onnx(model, path)
        difference = largest_difference(model, path)
        if difference > 1e-3:
            raise Failed(f'heatmaps differ by {difference:.1e}')
        return f'heatmaps differ by at most {difference:.1e}'

    # ---- commands ----------------------------------------------------------------------------

    def _training(self, name: str, *arguments: str, options: tuple | list = ()) -> list:
        command = ['-m', 'mim', 'train', 'mmpose', self.config, *self._processes(), *arguments]
        command += ['--work-dir', self.folder / name, '--cfg-options', *self.data]
        command += [f'train_cfg.max_epochs={EPOCHS}', 'load_from=None', *options]
        return command

    def _processes(self) -> list[str]:
        launcher = ['--launcher', 'pytorch'] if self.num_gpus else []  # NCCL, on one GPU, too
        return [*launcher, '--gpus', str(self.num_gpus)]

    def _environment(self) -> dict[str, str]:
        hidden = {} if self.device == 'cuda' else {'CUDA_VISIBLE_DEVICES': ''}
        return {**os.environ, **hidden}

    def _run(self, name: str, arguments: list) -> str:
        """Runs Python with arguments; the output is kept in ``<name>.log``."""
        log = self.folder / f'{name}.log'
        with log.open('w') as file:
            status = subprocess.run(
                [sys.executable, *map(str, arguments)], stdout=file, stderr=subprocess.STDOUT,
                env=self._environment(),
            ).returncode  # fmt: skip
        if status:
            raise Failed(f'exit status {status}, see {log}')
        return log.read_text()

    def _checkpoint(self, name: str) -> Path:
        return self.folder / name / f'epoch_{EPOCHS}.pth'

    def _model(self):
        return load_pose_model(self.config, self._checkpoint('train'), self.device)

    @staticmethod
    def _input_size(model) -> tuple[int, int]:
        return model.head.decoder.input_size


def _ap(output: str) -> float:
    """The last AP that a command printed."""
    found = re.findall(r'posetrack/Total AP: ([\d.]+)', output)
    if not found:
        raise Failed('no AP was printed')
    return float(found[-1])


def _close(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> str:
    difference = float((found - expected).abs().max())
    if difference > tolerance:
        raise Failed(f'heatmaps differ by {difference:.1e}')
    return f'heatmaps differ by at most {difference:.1e}'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="""examples:
  python benchmarks/check_gpu.py
  python benchmarks/check_gpu.py --config my_tiny_config.py --work-dir work_dirs/check""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--config', default='cmpose/cmpose_tiny.py',
                        help='model to train (default: %(default)s)')  # fmt: skip
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/check_gpu'),
                        help='folder, deleted first (default: %(default)s)')  # fmt: skip
    parser.add_argument('--device', choices=['cuda', 'cpu'], default='cuda')
    args = parser.parse_args()
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('torch finds no CUDA device here; --device cpu runs the same code without')
    shutil.rmtree(args.work_dir, ignore_errors=True)
    args.work_dir.mkdir(parents=True)
    rows = []
    for name, check in Checks(args.config, args.work_dir.resolve(), args.device).all().items():
        print(f'{name} ...', flush=True)
        start = time.monotonic()
        try:
            result, told = 'held', check()
        except Skipped as reason:
            result, told = 'skipped', str(reason)
        except Exception as error:  # a failed check must not hide the others
            result, told = 'FAILED', f'{type(error).__name__}: {error}'
        rows.append([name, result, f'{time.monotonic() - start:.0f} s', told])
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    print(f'\ntorch {torch.__version__}, {", ".join(names) or "no GPU"}\n')
    print(tabulate(rows, ['check', 'result', 'time', ''], tablefmt='github'))
    sys.exit(any(row[1] == 'FAILED' for row in rows))


if __name__ == '__main__':
    main()
