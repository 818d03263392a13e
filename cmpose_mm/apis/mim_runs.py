"""Trainings and tests as ``mim`` runs them, with a progress bar in place of their output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config
from tqdm import tqdm

from cmpose_mm.config_options import lose_spaces, parse_options
from cmpose_mm.whole_files import lock

_PROGRESS = re.compile(r'(?:Epoch|Iter)\((train|val|test)\) +(?:\[(\d+)\])?\[ *(\d+)/(\d+)\]')
_LOSS = re.compile(r' loss: ([\d.]+)')


def _with_spaces(command: list[str], folder: Path) -> list[str]:
    """The command, with a config of its own where ``--cfg-options`` would lose spaces of a path."""
    place = command.index('--cfg-options') if '--cfg-options' in command else len(command)
    pairs = command[place + 1 :]
    if not lose_spaces(pairs):
        return command
    kind, package, config, *rest = command[:place]
    content = Config.fromfile(config)
    content.merge_from_dict(parse_options(pairs))
    file = folder / 'with_options' / Path(config).name
    file.parent.mkdir(exist_ok=True)
    content.dump(file)
    return [kind, package, str(file), *rest]


def run_mim(command: list[str], log: Path, epochs: int = 1) -> None:
    """Runs ``mim`` with a progress bar; its output goes to ``log``.

    Args:
        command: arguments of ``mim``; ``--cfg-options`` come last, see `parse_options`.
        log: file for all its output, behind that of runs before.
        epochs: of the training, for the bar.

    Raises:
        SystemExit: if it fails, with the end of its output, or if a run whose command was killed
            still goes on beside that file.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = _with_spaces(command, log.parent)
    print('$ mim ' + ' '.join(command), flush=True)
    with log.open('a', buffering=1) as file, tqdm(desc='starting', unit='step') as bar:
        if not lock(file):  # mim inherits it
            raise SystemExit(
                f'{log.parent}: another process trains or tests there; wait until it ends, or stop '
                'it'
            )
        process = subprocess.Popen(
            [sys.executable, '-m', 'mim', *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            pass_fds=[file.fileno()] if os.name == 'posix' else [],
        )  # fmt: skip
        for line in process.stdout:
            file.write(line)
            if found := _PROGRESS.search(line):
                phase, epoch, step, steps = found.groups()
                factor = epochs if phase == 'train' else 1
                done = int(step) + (int(epoch or 1) - 1) * int(steps) * (phase == 'train')
                if bar.desc != f'{phase}: ' or bar.total != int(steps) * factor:
                    bar.set_description(phase, refresh=False)
                    bar.reset(total=int(steps) * factor)
                bar.update(done - bar.n)
                if loss := _LOSS.search(line):
                    bar.set_postfix(loss=loss.group(1))
    if process.wait() != 0:
        tail = ''.join(log.read_text().splitlines(keepends=True)[-25:])
        raise SystemExit(f'{tail}\nmim {command[0]} failed; all its output is in {log}')
