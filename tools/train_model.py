"""Trains the models that ship with the package: rendered videos, then JHMDB, then clips.

    python tools/train_model.py --data data/jhmdb              # `make model`
    python tools/train_model.py --quick ...                    # a few steps, to check that it runs

Stages, each from the one before:
    rendered   single frames of rendered videos; what comes out is the rendered-only model
    jhmdb      single frames, half of JHMDB's training clips, half rendered
    video      CM-Pose on clips of three frames; what comes out is the model that ships
Their weights are small_rendered.pth, small_frames.pth (not shipped) and small.pth.

--data is a folder as docs/real_footage.md has it: annotations/train and annotations/test,
clips.csv, and images/ or videos/. For one that tools/convert_jhmdb.py made, --frames is the folder
of the release, from which its labels' file names start. Two idle cores take about 10 hours, of
which 3 for the first stage; one large GPU with 16 cores takes about 10 minutes. After a kill the
same command goes on: what is done stays, and a stage continues from its last whole epoch.

The weights are written in float16 into --out, with their checksums; then all three are tested on
JHMDB's test clips (and the labeled frames of --clip), and the table goes to --out as scores.json.

Choices are made without test clips:
    python tools/train_model.py --held-out --out work_dirs/choice --work work_dirs/choice ...
trains on the films that are not held out, and tests on those that are. A stage that was begun with
other options, another config or from other weights is not continued, and not taken as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config

from cmpose_mm import config_path
from cmpose_mm.ablation.records import config_digest
from cmpose_mm.apis.mim_runs import run_mim
from cmpose_mm.config_options import merge_options, parse_options, unknown_key
from cmpose_mm.converters.clip_lists import write_clip_lists
from cmpose_mm.converters.extract import extract_frames
from cmpose_mm.evaluation.evaluate import evaluate_files
from cmpose_mm.evaluation.report import format_table
from cmpose_mm.posetrack.annotations import AnnotationError, read_videos
from cmpose_mm.posetrack.frames import FrameTable
from cmpose_mm.synthetic import Difficulty, Settings, write_dataset
from cmpose_mm.weights import MODELS, release_weights
from cmpose_mm.whole_files import sha256

RENDERED = Settings(
    videos={'train': 2700, 'val': 60},
    frames=5,
    seed=7,
    difficulty=Difficulty(
        people=(1, 4),
        zoom=(0.6, 2.5),
        occluder_coverage=0.05,
        facing_away=0.3,
        crossing=0.3,
        speed=1.5,
        motion_blur=0.2,
        defocus=0.2,
        low_light=0.15,
    ),
)
QUICK = Settings(videos={'train': 3, 'val': 1}, frames=3, difficulty=RENDERED.difficulty)
QUICK_TRAINING = ['train_dataloader.batch_size=4', 'default_hooks.logger.interval=1']
SET_BY_OTHERS = {
    **{
        f'{kind}_dataloader.{name}': '--workers'
        for kind in ('train', 'test')
        for name in ('num_workers', 'persistent_workers')
    },
    'test_dataloader.dataset.data_root': '--data and --clip',
    'test_dataloader.dataset.ann_file': '--held-out',
    'test_evaluator.0.outfile_prefix': '--work',
}
COLUMNS = {  # list of clips, norm, measure
    'clean, PCK@0.2': ('clean', 'box', 'PCK@0.2'),
    'clean, PCK@0.1': ('clean', 'box', 'PCK@0.1'),
    'clean full body, PCK@0.1': ('clean_full_body', 'box', 'PCK@0.1'),
    'all, PCKh@0.5': ('test', 'head', 'PCKh@0.5'),
}
HELD_OUT_COLUMNS = {
    f'held out, {measure}': ('held_out', norm, measure)
    for norm, measure in (('box', 'PCK@0.2'), ('box', 'PCK@0.1'), ('head', 'PCKh@0.5'))
}


@dataclass
class Stage:
    """One training.

    Attributes:
        name: of its folder.
        config: path.
        model: name under which its weights are written.
        sets: key of each training set in the config, by the name of the data.
    """

    name: str
    config: str
    model: str
    sets: dict[str, str]


def stages(video_config: str) -> list[Stage]:
    """The three trainings; `video_config` is that of the last."""
    one = 'train_dataloader.dataset'
    both = {'jhmdb': f'{one}.datasets.0', 'rendered': f'{one}.datasets.1'}
    return [
        Stage('rendered', config_path(MODELS['small_rendered']), 'small_rendered',
              {'rendered': one}),
        Stage('jhmdb', config_path('shipped/shipped_frames.py'), 'small_frames', both),
        Stage('video', video_config, 'small', both),
    ]  # fmt: skip


def checkpoint_of(stage: Stage, work: Path) -> Path | None:
    """The finished checkpoint of a stage, None if there is none."""
    file = work / stage.name / 'finished'
    return Path(file.read_text().strip()) if file.is_file() else None


def train(stage: Stage, start: Path | None, args: argparse.Namespace) -> Path:
    """Trains a stage, or what is left of it; returns its checkpoint."""
    work = args.work / stage.name
    config = Config.fromfile(stage.config)
    epochs = args.epochs.get(stage.name) or config.train_cfg.max_epochs
    options = [
        f'train_cfg.max_epochs={epochs}',
        f'train_cfg.val_interval={epochs}',
        f'param_scheduler.1.T_max={epochs}',
        *(QUICK_TRAINING if args.quick else ()),
        *own_options(config, args.cfg_options),
    ]
    roots = {'jhmdb': args.data, 'rendered': args.rendered}
    options += [f'{key}.data_root={roots[name]}' for name, key in stage.sets.items()]
    if args.frames is not None and 'jhmdb' in stage.sets:
        options.append(f'{stage.sets["jhmdb"]}.data_prefix.img={args.frames.resolve()}')
    if args.held_out and 'jhmdb' in stage.sets:
        options.append(f'{stage.sets["jhmdb"]}.ann_file=annotations/train_chosen')
    decisive = dict(option.partition('=')[::2] for option in options)
    decisive['config'] = f'{Path(stage.config).name} ({short(config_digest(config))})'
    decisive['start'] = 'nothing' if start is None else f'{start.name} ({short(sha256(start))})'
    check_options(work, decisive)
    done = checkpoint_of(stage, args.work)
    if done is not None:
        print(f'{stage.name}: done before, {done}')
        return done
    options += [
        f'train_dataloader.num_workers={args.workers}',
        f'train_dataloader.persistent_workers={args.workers > 0}',
    ]
    command = ['train', 'mmpose', stage.config, '--work-dir', str(work), '--no-validate']
    if (work / 'last_checkpoint').is_file():
        command.append('--resume')  # with load_from beside it, MMEngine would resume from that
    elif start is not None:
        options.append(f'load_from={start}')
    run_mim([*command, '--cfg-options', *options], work / 'output.log', epochs)
    path = Path((work / 'last_checkpoint').read_text())
    (work / 'finished').write_text(str(path))
    return path


def own_options(config: Config, pairs: list[str]) -> list[str]:
    """The ``KEY=VALUE`` pairs whose key a config has; the others are of other stages."""
    return [pair for pair in pairs if unknown_key(config, pair.partition('=')[0]) is None]


def short(digest: str) -> str:
    """The start of a SHA-256, to be read by people."""
    return f'SHA-256 {digest[:12]}'


def check_options(work: Path, options: dict[str, str]) -> None:
    """Writes down what decides a stage's training when it starts, as ``options.json``.

    Raises:
        ValueError: if the stage has a checkpoint of other options, or of options that are unknown.
    """
    file = work / 'options.json'
    if not any((work / name).is_file() for name in ('last_checkpoint', 'finished')):
        work.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(options, indent=1) + '\n')
        return
    if not file.is_file():
        found = 'no record of its options (options.json)'
    else:
        before = json.loads(file.read_text())
        found = '; '.join(
            f'{key} {before.get(key, "not given")} (now {options.get(key, "not given")})'
            for key in sorted({*before, *options})
            if before.get(key) != options.get(key)
        )
    if found:
        raise ValueError(
            f'{work}: was trained with {found}, expected the same options as now; take another '
            '--work, or delete this folder.'
        )


def test(name: str, config: str, data: Path, labels: str, args: argparse.Namespace) -> Path:
    """Poses of a released model in labeled boxes, for a folder of labels; returns their folder."""
    work = args.work / 'test' / f'{name}_{data.name}'
    command = ['test', 'mmpose', config, '--checkpoint', str(args.out / f'{name}.pth')]
    options = [
        *own_options(Config.fromfile(config), args.cfg_options),
        f'test_dataloader.dataset.data_root={data}',
        f'test_dataloader.dataset.ann_file={labels}',
        f'test_dataloader.num_workers={args.workers}',
        f'test_dataloader.persistent_workers={args.workers > 0}',
        f'test_evaluator.0.outfile_prefix={work}/predictions/',
    ]
    if args.frames is not None and data == args.data:
        options.append(f'test_dataloader.dataset.data_prefix.img={args.frames.resolve()}')
    run_mim([*command, '--work-dir', str(work), '--cfg-options', *options], work / 'output.log')
    return work / 'predictions'


def pck(labels: Path, predictions: Path, norm: str, measure: str, chosen: Path) -> float:
    """Mean over all labeled joints of the clips that the folder `chosen` lists, in percent."""
    videos = sorted(path.stem for path in chosen.glob('*.json'))
    result = evaluate_files(labels, predictions, videos=videos, pck_norms=[norm])
    return result['pck'][norm][measure]['Total']


def scores(name: str, config: str, args: argparse.Namespace) -> dict[str, float]:
    """One row of the table."""
    split, columns = ('held_out', HELD_OUT_COLUMNS) if args.held_out else ('test', COLUMNS)
    predictions = test(name, config, args.data, f'annotations/{split}', args)
    labels = args.data / 'annotations'
    row = {
        column: pck(labels / split, predictions, norm, measure, labels / chosen)
        for column, (chosen, norm, measure) in columns.items()
    }
    if args.clip is not None:
        predictions = test(name, config, args.clip, 'annotations/val', args)
        labels = args.clip / 'annotations/val'
        row['PoseTrack clip, PCKh@0.5'] = pck(labels, predictions, 'head', 'PCKh@0.5', labels)
    return row


def prepare(args: argparse.Namespace) -> None:
    """Frames, lists of clips, and rendered videos, as far as they are not there."""
    if not (args.data / 'annotations/train').is_dir():
        raise FileNotFoundError(
            f'{args.data}/annotations/train: not found; expected labels of JHMDB as '
            'tools/convert_jhmdb.py writes them (docs/real_footage.md)'
        )
    if args.frames is None and (args.data / 'videos').is_dir():
        result = extract_frames(args.data / 'videos', args.data / 'images')
        for sentence in result.warnings:
            print(sentence, file=sys.stderr)
        if result.errors:
            raise OSError('\n'.join(result.errors))
    first = read_videos(args.data / 'annotations/train')[0].frames[0].file_name
    frames = FrameTable(str(args.frames or args.data))
    if not frames.exists(first):
        raise FileNotFoundError(
            f'{frames.path(first)}: not found; expected {"--frames" if args.frames else "--data"} '
            f'to be the folder that file names in {args.data}/annotations start from'
            + ('' if args.frames else '; give --frames if it is another')
        )
    write_clip_lists(args.data)
    write_dataset(args.rendered, QUICK if args.quick else RENDERED, workers=os.cpu_count())


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    work = Path('work_dirs/small')
    for name, default, meaning in (
        ('data', Path('data/jhmdb'), 'labels of JHMDB, and its frames or videos'),
        ('rendered', Path('data/small_rendered'), 'rendered videos, made if not there'),
        ('work', work, 'checkpoints and logs'),
        ('out', work / 'weights', 'weights, checksums and scores'),
    ):
        parser.add_argument(
            f'--{name}',
            type=Path,
            default=default,
            metavar='DIR',
            help=f'{meaning} (default: {default})',
        )
    parser.add_argument(
        '--frames',
        type=Path,
        metavar='DIR',
        help="folder that the file names in JHMDB's labels start from; nothing is extracted then "
        '(default: --data, with frames in images/, extracted from videos/ if that is there)',
    )
    parser.add_argument(
        '--clip', type=Path, metavar='DIR', help='PoseTrack data to test on, with annotations/val'
    )
    parser.add_argument(
        '--video-config',
        default=MODELS['small'],
        metavar='FILE',
        help='config of the last stage (default: shipped/shipped_cmpose.py)',
    )
    parser.add_argument(
        '--epochs',
        nargs=3,
        type=epoch_count,
        metavar=('RENDERED', 'JHMDB', 'VIDEO'),
        help='of the stages (default: as their configs say)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        metavar='N',
        help='data workers (default: with a GPU one less than there are cores, else none)',
    )
    parser.add_argument('--held-out', action='store_true', help='to choose by; see above')
    parser.add_argument('--no-test', action='store_true', help='end after the training')
    parser.add_argument('--quick', action='store_true', help='few videos, one epoch a stage')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='more overrides, for the configs of all stages',
    )
    args = parser.parse_args(argv)
    if args.workers is None:
        args.workers = os.cpu_count() - 1 if torch.cuda.is_available() else 0
    names = ('rendered', 'jhmdb', 'video')
    args.epochs = dict(zip(names, args.epochs or ((1, 1, 1) if args.quick else ())))
    if not Path(args.video_config).is_file():
        try:
            args.video_config = config_path(args.video_config)
        except FileNotFoundError as error:
            parser.error(f'--video-config: {error}')
    return args


def epoch_count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number of at least 1, found {text!r}')
    return int(text)


def check_overrides(todo: list[Stage], pairs: list[str]) -> None:
    """Checks ``--cfg-options`` and ``--video-config`` before anything is rendered.

    Raises:
        ValueError: for what is not KEY=VALUE, for a key that no stage's config has or that another
            option sets, and for a stage's config that does not train in epochs on that stage's
            data sets.
    """
    for pair in pairs:
        if '=' not in pair:
            raise ValueError(f'--cfg-options: expected KEY=VALUE, found {pair!r}')
    for key in SET_BY_OTHERS.keys() & {pair.partition('=')[0] for pair in pairs}:
        raise ValueError(f'--cfg-options: {key} is set by {SET_BY_OTHERS[key]}')
    configs = [Config.fromfile(stage.config) for stage in todo]
    merge_options(configs[0], parse_options(pairs), *configs[1:])
    for stage, config in zip(todo, configs):
        for key in ('train_cfg.max_epochs', *stage.sets.values(), 'param_scheduler.1.T_max'):
            if not has_key(config, key):
                raise ValueError(
                    f'{stage.config}: found no {key}, expected a config like that of the stage '
                    f'{stage.name!r}, such as {config_path(MODELS["small"])}'
                )


def has_key(config: Config, key: str) -> bool:
    """Whether a config has a value at a dotted key."""
    place = config
    for part in key.split('.'):
        try:
            place = place[int(part)] if isinstance(place, list) else place[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return False
    return True


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        todo = stages(args.video_config)
        check_overrides(todo, args.cfg_options)
        prepare(args)
        args.out.mkdir(parents=True, exist_ok=True)
        start, table = None, {}
        for number, stage in enumerate(todo, 1):
            print(f'\n[{number}/{len(todo)}] {stage.name}', flush=True)
            start = train(stage, start, args)
            path = args.out / f'{stage.model}.pth'
            checksum = release_weights(start, path)
            print(f'{path}: {path.stat().st_size / 1e6:.2f} MB, SHA-256 {checksum}')
        tested = [] if args.no_test else todo[-1:] if args.quick else todo
        for stage in tested:
            table[stage.model] = scores(stage.model, stage.config, args)
    except (AnnotationError, ImportError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if table:
        (args.out / 'scores.json').write_text(json.dumps(table, indent=1) + '\n')
        print(format_table(table, next(iter(table.values()))))
    return 0


if __name__ == '__main__':
    sys.exit(main())
