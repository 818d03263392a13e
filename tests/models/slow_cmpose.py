"""CM-Pose's equations again, in float64 with plain loops, for the tests to compare with.

Nothing here is shared with the package. Arrays are NumPy, one clip at a time.
"""

import math

import numpy as np


def linear(x, layer):
    """A torch Linear on one vector."""
    weight = layer.weight.detach().double().numpy()
    out = np.array([sum(w * v for w, v in zip(row, x)) for row in weight])
    return out if layer.bias is None else out + layer.bias.detach().double().numpy()


def layer_norm(x, layer):
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    gain, offset = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    return (x - mean) / math.sqrt(variance + layer.eps) * gain + offset


def softmax(values):
    largest = max(values)
    exponentials = [math.exp(value - largest) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def residual_attention(tokens, module, position=None):
    """Pre-norm residual self-attention over a list of vectors.

    ``position`` is a list of vectors that queries and keys see, and values do not.
    """
    num_heads, width = module.num_heads, module.proj.in_features
    size = width // num_heads
    qkv = [linear(layer_norm(token, module.norm), module.qkv) for token in tokens]
    if position is not None:
        for i, (token, place) in enumerate(zip(tokens, position)):
            placed = linear(layer_norm(token, module.norm) + place, module.qkv)
            qkv[i] = np.concatenate([placed[: 2 * width], qkv[i][2 * width :]])
    result = []
    for i, token in enumerate(tokens):
        attended = np.zeros(width)
        for head in range(num_heads):
            part = slice(head * size, (head + 1) * size)
            query = qkv[i][:width][part]
            weights = softmax(
                [
                    float(np.dot(query, other[width : 2 * width][part])) / math.sqrt(size)
                    for other in qkv
                ]
            )
            for weight, other in zip(weights, qkv):
                attended[part] += weight * other[2 * width :][part]
        result.append(token + linear(attended, module.proj))
    return result


def spatial(x, module, position=None):
    return np.array([residual_attention(list(frame), module, position) for frame in x])


def temporal(x, module):
    slots = [residual_attention(list(x[:, slot]), module) for slot in range(x.shape[1])]
    return np.array(slots).transpose(1, 0, 2)


def neighborhood(x, module, grid):
    """(T, P, D): cells attend to the 3x3 cells around in all frames, other slots to themselves."""
    height, width = grid
    result = np.zeros_like(x)
    for slot in range(x.shape[1]):
        others = [slot]
        if slot < height * width:
            row, column = divmod(slot, width)
            others = [
                y * width + x
                for y in range(row - 1, row + 2)
                for x in range(column - 1, column + 2)
                if 0 <= y < height and 0 <= x < width
            ]
        seen = [(t, other) for t in range(x.shape[0]) for other in others]
        refined = residual_attention([x[place] for place in seen], module)
        for place, token in zip(seen, refined):
            if place[1] == slot:
                result[place] = token
    return result


def feed_forward(x, module):
    """(T, P, D): x + W_2 gelu(W_1 norm(x)), token by token."""
    result = np.zeros_like(x)
    for place in np.ndindex(x.shape[:2]):
        hidden = linear(layer_norm(x[place], module.norm_mlp), module.mlp[0])
        hidden = np.array([v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in hidden])
        result[place] = x[place] + linear(hidden, module.mlp[2])
    return result


def sine_cosine(grid, width):
    """(N, D): a quarter of the channels each for sin y, cos y, sin x, cos x; mean square 1."""
    rows = []
    for y in range(grid[0]):
        for x in range(grid[1]):
            channels = []
            for place in (y, x):
                for wave in (math.sin, math.cos):
                    for i in range(width // 4):
                        angle = place / 10000 ** (i / (width // 4))
                        channels.append(math.sqrt(2) * wave(angle))
            rows.append(channels)
    return np.array(rows)


def criss_cross_neck(tokens, neck, grid=None):
    """(T, N, D) -> (T, N + K, D)."""
    keypoints = neck.keypoint_tokens.detach().double().numpy()
    embedding = neck.temporal_embed.detach().double().numpy()
    x = np.array(
        [
            [token + embedding[t] for token in np.concatenate([frame, keypoints])]
            for t, frame in enumerate(tokens)
        ]
    )
    position = None
    if neck.position is not None:
        if neck.position == 'learned':
            places = neck.position_embed.detach().double().numpy()
        else:
            places = sine_cosine(grid, x.shape[2])
        position = [*places, *np.zeros_like(keypoints)]

    def d_s(x, block, pathway):
        x = spatial(x, getattr(block, f'spatial{pathway}'), position)
        return after_attention(x, block, 'spatial', pathway)

    def d_t(x, block, pathway):
        module = getattr(block, f'temporal{pathway}')
        slots = neck.temporal == 'slot'
        x = temporal(x, module) if slots else neighborhood(x, module, grid)
        return after_attention(x, block, 'temporal', pathway)

    def after_attention(x, block, kind, pathway):
        if neck.feed_forward is None:
            return x
        kind = kind if neck.feed_forward == 'separate' else 'both'
        return feed_forward(x, block.feed_forward[f'{kind}{pathway}'])

    for block in neck.blocks:
        second_pathway = '' if block.shared_pathways else '_second'
        first = d_t(d_s(x, block, ''), block, '')
        second = d_s(d_t(x, block, second_pathway), block, second_pathway)
        fused = np.zeros_like(x)
        for t in range(x.shape[0]):
            for slot in range(x.shape[1]):
                a, b = first[t, slot], second[t, slot]
                both = np.concatenate([a, b])
                if hasattr(block.fusion, 'proj'):
                    fused[t, slot] = linear(both, block.fusion.proj)
                else:
                    weights = softmax(linear(both, block.fusion.gate))
                    fused[t, slot] = weights[0] * a + weights[1] * b
        x = fused
    return x


def similarity(tokens, keypoints, query, key):
    """S of eq. 8, (K, N)."""
    keys = [linear(token, key) for token in tokens]
    result = []
    for keypoint in keypoints:
        q = linear(keypoint, query)
        result.append(softmax([float(np.dot(q, k)) / math.sqrt(len(q)) for k in keys]))
    return np.array(result)


def best_first(scores, candidates):
    return sorted(candidates, key=lambda token: (-scores[token], token))


def select_exclusive(scores, num_causal):
    free = set(range(len(scores[0])))
    selected = []
    for joint in scores:
        chosen = best_first(joint, free)[:num_causal]
        free -= set(chosen)
        selected.append(chosen)
    return selected


def select_union(scores, num_causal):
    return [best_first(joint, range(len(joint)))[:num_causal] for joint in scores]


def squared_distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b)) / len(a)


def density_peaks(tokens, members, num_neighbors):
    """log rho and delta of eq. 9 and 10 for the tokens named in ``members``, as dicts."""
    log_rho, delta = {}, {}
    for i in members:
        distances = sorted(squared_distance(tokens[i], tokens[j]) for j in members if j != i)
        log_rho[i] = -sum(distances[:num_neighbors]) / num_neighbors
    for i in members:
        denser = [j for j in members if log_rho[j] > log_rho[i]]
        if denser:
            delta[i] = min(math.sqrt(squared_distance(tokens[i], tokens[j])) for j in denser)
        else:
            delta[i] = max(math.sqrt(squared_distance(tokens[i], tokens[j])) for j in members)
    return log_rho, delta


def cluster(tokens, members, num_clusters, num_neighbors):
    """Cluster of every token, -1 for those not in ``members``; and the centers."""
    log_rho, delta = density_peaks(tokens, members, num_neighbors)
    score = {i: log_rho[i] + (math.log(delta[i]) if delta[i] else -math.inf) for i in members}
    centers = sorted(best_first(score, members)[:num_clusters])
    ids = [-1] * len(tokens)
    for i in members:
        if i in centers:
            ids[i] = centers.index(i)
        else:
            distances = [squared_distance(tokens[i], tokens[c]) for c in centers]
            ids[i] = distances.index(min(distances))
    return ids, centers


def merge(tokens, ids, importance, num_clusters, normalize):
    """Eq. 11: one token for each cluster."""
    merged = []
    for number in range(num_clusters):
        members = [i for i, cluster_id in enumerate(ids) if cluster_id == number]
        total = sum(importance[i] for i in members) if normalize else 1.0
        merged.append(sum(importance[i] / total * tokens[i] for i in members))
    return merged


def restore(tokens, merged, ids):
    return np.array([token if number < 0 else merged[number] for token, number in zip(tokens, ids)])


def restore_with_own(tokens, merged, ids, gain):
    """Each clustered cell keeps its token and gets the cluster's, times a gain per channel."""
    return np.array(
        [
            token if number < 0 else token + gain * merged[number]
            for token, number in zip(tokens, ids)
        ]
    )


def similarity_loss(log_similarity, heatmaps, weights, grid):
    """Mean cross-entropy over the labeled joints whose peak is in the heatmap.

    The sides of the heatmaps are multiples of the grid's.
    """
    total, count = 0.0, 0.0
    for b, k in np.ndindex(weights.shape):
        height, width = (side // cells for side, cells in zip(heatmaps.shape[2:], grid))
        heat = [
            heatmaps[b, k, y * height : (y + 1) * height, x * width : (x + 1) * width].sum()
            for y in range(grid[0])
            for x in range(grid[1])
        ]
        if weights[b, k] == 0 or heatmaps[b, k].max() < 0.5:
            continue
        nats = sum(-h / sum(heat) * s for h, s in zip(heat, log_similarity[b, k]))
        total += weights[b, k] * nats
        count += weights[b, k]
    return total / count if count else 0.0


def reconstruction_loss(reconstructed, target, indices, divide_by_width):
    """Eq. 2 and 3 over a batch: arrays (B, T, N, D), a list of corrupted tokens for each clip."""
    total, count = 0.0, 0
    num_cells = target.shape[2]
    for b, corrupted in enumerate(indices):
        for index in corrupted:
            t, cell = divmod(int(index), num_cells)
            difference = reconstructed[b, t, cell] - target[b, t, cell]
            total += sum(v * v for v in difference) / (len(difference) if divide_by_width else 1)
            count += 1
    return total / count


def splitmix64(state, counter):
    """Python integers without a width, reduced to 64 bits by hand."""
    mask = 2**64 - 1
    z = (state + (counter + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def standard_normal(seed, stream, row, column, num_columns):
    """The number that `standard_normals` gives to one column."""
    key = seed
    for counter in (0, stream, row):
        key = splitmix64(key, counter)
    num_pairs = (num_columns + 1) // 2
    bits = splitmix64(key, column % num_pairs)
    u1 = ((bits >> 41) + 0.5) / 2**23
    u2 = (((bits >> 18) & (2**23 - 1)) + 0.5) / 2**23
    trigonometric = math.cos if column < num_pairs else math.sin
    return math.sqrt(-2 * math.log(u1)) * trigonometric(2 * math.pi * u2)
