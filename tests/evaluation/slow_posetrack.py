"""PoseTrack's measures once more, with plain loops over the JSON of label and prediction files.

Written from the definition alone; shares no code and no data structure with the package.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
from label_files import ORDER_15, ORDER_17

NAN = float('nan')


def read_points(annotation: dict, positive: bool) -> dict:
    """{joint: (x, y)} of the present joints of a person."""
    points = {}
    for place, name in enumerate(ORDER_17):
        x, y, v = annotation['keypoints'][3 * place : 3 * place + 3]
        present = (x > 0 and y > 0) if positive else not (x == 0 and y == 0 and v == 0)
        if name in ORDER_15 and present:
            points[name] = (x, y)
    return points


def strictly_inside(point, polygon) -> bool:
    """Even-odd rule in exact arithmetic; the boundary is outside."""
    if len(polygon) < 3:
        return False
    x, y = map(Fraction, point)
    crossings = 0
    for index in range(len(polygon)):
        ax, ay = map(Fraction, polygon[index])
        bx, by = map(Fraction, polygon[(index + 1) % len(polygon)])
        if ay == by:
            if y == ay and min(ax, bx) <= x <= max(ax, bx):
                return False
            continue
        if not min(ay, by) <= y <= max(ay, by):
            continue
        at = ax + (y - ay) * (bx - ax) / (by - ay)  # x of the edge at this height
        if at == x:
            return False
        if at > x and y < max(
            ay, by
        ):  # a corner belongs to the edge below which it is the lower end
            crossings += 1
    return crossings % 2 == 1


def clean_frames(
    gt: dict, pred: dict, labeled_frames: bool, positive: bool, keep_pointless: bool = False
) -> list:
    """[(labeled persons, predicted persons)] of the frames that count, persons as dicts.

    With `keep_pointless` persons without points stay where they stay in poseval: it takes them for
    persons with an empty list of points, and only drops them while it goes through the ignore
    regions of a frame that has some.
    """
    frames = []
    for image in gt['images']:
        listed = [a for a in gt['annotations'] if a['image_id'] == image['id']]
        if labeled_frames:
            if not image['is_labeled']:
                continue
        elif len(listed) == 0:
            continue
        polygons = []
        for xs, ys in zip(image.get('ignore_regions_x', []), image.get('ignore_regions_y', [])):
            polygons.append(list(zip(xs, ys)))
        sides = []
        for side in (
            listed,
            [a for a in pred['annotations'] if a['image_id'] == image['id']],
        ):
            persons = []
            for annotation in side:
                points = {}
                for name, point in read_points(annotation, positive).items():
                    if not any(strictly_inside(point, polygon) for polygon in polygons):
                        points[name] = point
                if points or (keep_pointless and not polygons):
                    persons.append({'points': points, 'annotation': annotation})
            sides.append(persons)
        frames.append(sides)
    return frames


def distance(pred: dict, gt: dict, name: str) -> float:
    """In head sizes; infinite if either joint is absent."""
    if name not in pred['points'] or name not in gt['points']:
        return math.inf
    x, y, w, h = gt['annotation']['bbox_head']
    width, height = (x + w) - x, (y + h) - y
    head = 0.6 * math.sqrt(width * width + height * height)
    dx = pred['points'][name][0] - gt['points'][name][0]
    dy = pred['points'][name][1] - gt['points'][name][1]
    apart = math.sqrt(dx * dx + dy * dy)
    return apart / head if head > 0 else math.inf


def assign(preds: list, gts: list) -> dict:
    """{predicted person: labeled person} by their places in the frame."""
    share = []
    for pred in preds:
        row = []
        for gt in gts:
            correct = sum(distance(pred, gt, name) <= 0.5 for name in gt['points'])
            row.append(correct / len(gt['points']))
        share.append(row)
    pairs = {}
    for g in range(len(gts)):
        best, best_share = None, 0
        for p in range(len(preds)):
            favorite = 0
            for other in range(len(gts)):
                if share[p][other] > share[p][favorite]:
                    favorite = other
            if favorite == g and share[p][g] > best_share:
                best, best_share = p, share[p][g]
        if best is not None:
            pairs[best] = g
    return pairs


def average_precision(
    files: list, *, labeled_frames=False, positive=False, min_num_gt=0, tie_break='stable'
) -> dict:
    """{joint: (AP, precision, recall) in percent} from [(labels, predictions)] of the videos."""
    found = {name: [] for name in ORDER_15}
    num_gt = dict.fromkeys(ORDER_15, 0)
    for gt_file, pred_file in files:
        for gts, preds in clean_frames(gt_file, pred_file, labeled_frames, positive):
            pairs = assign(preds, gts)
            for p, pred in enumerate(preds):
                scores = pred['annotation'].get('scores') or [-9999] * len(ORDER_17)
                for name in pred['points']:
                    right = p in pairs and distance(pred, gts[pairs[p]], name) <= 0.5
                    found[name].append((scores[ORDER_17.index(name)], right))
            for gt in gts:
                for name in gt['points']:
                    num_gt[name] += 1

    values = {}
    for name in ORDER_15:
        total = max(num_gt[name], min_num_gt)
        if not found[name]:
            values[name] = (0.0, 0.0, 0.0)
            continue
        if tie_break == 'poseval':
            order = np.array([score for score, _ in found[name]]).argsort()[::-1]
            ranked = [found[name][index] for index in order]
        else:
            ranked = sorted(found[name], key=lambda item: -item[0])
        precision, recall, hits = [], [], 0
        for rank, (_, right) in enumerate(ranked, start=1):
            hits += right
            precision.append(hits / rank)
            recall.append(hits / total if total else NAN)
        area, before = 0.0, 0.0
        for index in range(len(ranked)):
            area += (recall[index] - before) * max(precision[index:])
            before = recall[index]
        values[name] = (100 * area, 100 * precision[-1], 100 * recall[-1])
    return values


def track_counts(files: list, *, compat=False) -> dict:
    """{joint: [labeled, misses, false positives, switches]} by CLEAR MOT.

    With `compat` as poseval does it: the last frame is not looked at; where a side of a frame has
    no person, one labeled object and one prediction, too far apart, stand in for both sides.
    """
    counts = {name: [0, 0, 0, 0] for name in ORDER_15}
    for gt_file, pred_file in files:
        frames = clean_frames(gt_file, pred_file, False, False, keep_pointless=compat)
        if compat:
            frames = frames[:-1]
        for name in ORDER_15:
            last = {}
            for number, (gts, preds) in enumerate(frames):
                if compat and (not gts or not preds):
                    for place in range(3):
                        counts[name][place] += 1
                    continue
                objects = {track_of(gts, g, number): gts[g] for g in range(len(gts))}
                guesses = {track_of(preds, p, number): preds[p] for p in range(len(preds))}
                objects = {t: o for t, o in objects.items() if name in o['points']}
                guesses = {t: o for t, o in guesses.items() if name in o['points']}
                counts[name][0] += len(objects)

                pairs = {}
                for track, labeled in objects.items():
                    guess = last.get(track)
                    if guess not in guesses or guess in pairs.values():
                        continue
                    if distance(guesses[guess], labeled, name) <= 0.5:
                        pairs[track] = guess
                rest = [t for t in objects if t not in pairs]
                free = [t for t in guesses if t not in pairs.values()]
                pairs.update(best_pairs(rest, free, objects, guesses, name))

                counts[name][1] += len(objects) - len(pairs)
                counts[name][2] += len(guesses) - len(pairs)
                for track, guess in pairs.items():
                    counts[name][3] += track in last and last[track] != guess
                    last[track] = guess
    return counts


def motmetrics_counts(files: list, *, compat=False) -> dict:
    """The same by py-motmetrics, which `poseval` calls: an accumulator a video and joint."""
    import motmetrics  # here, so that the rest needs no more than NumPy

    counts = {name: [0, 0, 0, 0] for name in ORDER_15}
    for gt_file, pred_file in files:
        frames = clean_frames(gt_file, pred_file, False, False, keep_pointless=compat)
        if compat:
            frames = frames[:-1]
        numbers = {}  # py-motmetrics wants ids that are numbers
        for name in ORDER_15:
            accumulator = motmetrics.MOTAccumulator(auto_id=True)
            for number, (gts, preds) in enumerate(frames):
                if compat and (not gts or not preds):
                    accumulator.update([10**6], [10**6], [[NAN]])
                    continue
                sides = []
                for persons in (gts, preds):
                    placed = [p for p in range(len(persons)) if name in persons[p]['points']]
                    ids = [
                        numbers.setdefault(track_of(persons, p, number), len(numbers))
                        for p in placed
                    ]
                    sides.append((ids, [persons[p] for p in placed]))
                (gt_ids, objects), (pred_ids, guesses) = sides
                apart = np.full((len(objects), len(guesses)), NAN)
                for row, labeled in enumerate(objects):
                    for column, guess in enumerate(guesses):
                        if distance(guess, labeled, name) <= 0.5:
                            apart[row, column] = distance(guess, labeled, name)
                accumulator.update(gt_ids, pred_ids, apart)
            if not frames:
                continue
            found = motmetrics.metrics.create().compute(
                accumulator,
                metrics=['num_objects', 'num_misses', 'num_false_positives', 'num_switches'],
                return_dataframe=False,
            )
            for place, value in enumerate(found.values()):
                counts[name][place] += int(value)
    return counts


def track_of(persons: list, index: int, frame: int):
    """The person's track id, or an id of its own if it has none or an earlier person has it."""
    ids = [person['annotation'].get('track_id', -1) for person in persons]
    if ids[index] < 0 or ids[index] in ids[:index]:
        return ('alone', frame, index)
    return ids[index]


def best_pairs(rest: list, free: list, objects: dict, guesses: dict, name: str) -> dict:
    """The most pairs, then the smallest total distance, by trying every way."""
    best, best_key = {}, (0, 0.0)
    size = min(len(rest), len(free))
    for chosen in itertools.permutations(free + [None] * len(rest), len(rest)) if size else ():
        pairs = {t: guess for t, guess in zip(rest, chosen) if guess is not None}
        apart = [distance(guesses[guess], objects[t], name) for t, guess in pairs.items()]
        if all(d <= 0.5 for d in apart):
            key = (-len(pairs), sum(apart))
            if key < best_key:
                best, best_key = pairs, key
    return best
