"""The tracker once more, from its description: plain loops, and all assignments tried.

Shares no code with the package.
"""

from __future__ import annotations

import math

SIGMAS = [
    0.026, 0.025, 0.025, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
    0.089, 0.089,
]  # fmt: skip


def area(box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(a, b) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (area(a) + area(b) - width * height)


def oks(a, b, a_seen, b_seen, a_area, b_area, sigmas=SIGMAS) -> float | None:
    """None if there is no joint to compare."""
    terms = []
    for (ax, ay), (bx, by), in_a, in_b, sigma in zip(a, b, a_seen, b_seen, sigmas):
        if in_a and in_b:
            distance = math.hypot(ax - bx, ay - by)
            variance = (a_area + b_area) / 2 * (2 * sigma) ** 2
            terms.append(math.exp(-(distance**2) / (2 * variance)))
    return sum(terms) / len(terms) if terms else None


def best_pairs(worth: list[list[float]], row: int = 0, used: frozenset = frozenset()):
    """(summed worth, {row: column}) of the best of all assignments; a row may stay alone."""
    if row == len(worth):
        return 0.0, {}
    best = best_pairs(worth, row + 1, used)
    for column, value in enumerate(worth[row]):
        if column not in used and value > 0:
            rest, pairs = best_pairs(worth, row + 1, used | {column})
            best = max(best, (rest + value, {row: column, **pairs}), key=lambda found: found[0])
    return best


class SlowTracker:
    """Tracks are dicts; persons are (joints, joint scores, box, box score) with plain lists."""

    def __init__(
        self, min_score, min_joint_score, min_similarity, oks_weight, memory, sigmas=SIGMAS
    ):
        self.sigmas = sigmas
        self.min_score, self.min_joint_score = min_score, min_joint_score
        self.min_similarity, self.oks_weight, self.memory = min_similarity, oks_weight, memory
        self.tracks, self.count = [], 0

    def similarity(self, track, person, steps) -> float:
        joints, joint_scores, box, _ = person
        dx, dy = (steps * v for v in track['velocity'])
        x1, y1, x2, y2 = track['box']
        expected_box = (x1 + dx, y1 + dy, x2 + dx, y2 + dy)
        expected = [(x + dx, y + dy) for x, y in track['joints']]
        seen = [score > self.min_joint_score for score in joint_scores]
        by_box = iou(expected_box, box)
        areas = area(expected_box), area(box)
        by_joints = oks(expected, joints, track['seen'], seen, *areas, self.sigmas)
        if by_joints is None:
            return by_box
        return self.oks_weight * by_joints + (1 - self.oks_weight) * by_box

    def update(self, persons) -> list[int]:
        ids = [-1] * len(persons)
        good = [p for p in range(len(persons)) if persons[p][3] >= self.min_score]
        worth = []
        for track in self.tracks:
            track['age'] += 1
            worth.append([])
            for p in good:
                value = self.similarity(track, persons[p], track['age'])
                if track['age'] > 1:
                    value = max(value, self.similarity(track, persons[p], 0))
                worth[-1].append(value - self.min_similarity)
        _, pairs = best_pairs(worth)
        track_of = {good[column]: self.tracks[row] for row, column in pairs.items()}
        for p in sorted(good, key=lambda p: (*persons[p][2], persons[p][3])):
            joints, joint_scores, box, _ = persons[p]
            seen = [score > self.min_joint_score for score in joint_scores]
            track = track_of.get(p)
            if track is None:
                track = {'id': self.count, 'velocity': (0.0, 0.0)}
                self.count += 1
                self.tracks.append(track)
            else:
                moves = [
                    (bx - ax, by - ay)
                    for (ax, ay), (bx, by), in_a, in_b in zip(
                        track['joints'], joints, track['seen'], seen
                    )
                    if in_a and in_b
                ]
                if not moves:
                    old = track['box']
                    moves = [(box[0] - old[0], box[1] - old[1]), (box[2] - old[2], box[3] - old[3])]
                mean = [sum(move[axis] for move in moves) / len(moves) for axis in (0, 1)]
                track['velocity'] = tuple(
                    (v + m / track['age']) / 2 for v, m in zip(track['velocity'], mean)
                )
            track.update(joints=joints, seen=seen, box=box, age=0)
            ids[p] = track['id']
        self.tracks = [track for track in self.tracks if track['age'] <= self.memory]
        return ids
