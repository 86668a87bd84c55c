"""Colour profiles built by hand, as files hold them: matrix, curves and tables of colours."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)


def _fixed(values):
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def profile(space, tags, version=2, connection=b"XYZ "):
    """Return a profile with tags {name: content}."""
    texts = {b"cprt": b"text\0\0\0\0CC0\0", b"wtpt": b"XYZ \0\0\0\0" + _fixed(D50)}
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 78
    entries = {b"desc": text, **texts, **tags}
    table, body, at = b"", b"", 132 + 12 * len(entries)
    for name, content in entries.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = b"\0\0\0\0" + bytes([version, 0x20, 0, 0]) + kind + space + connection
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + _fixed(D50) + b"\0" * 48
    rest = struct.pack(">I", len(entries)) + table + body
    return struct.pack(">I", 4 + len(head) + len(rest)) + head + rest


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"


def sampled(values):
    steps = np.round(np.asarray(values) * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", len(values)) + steps


def parametric(kind, *numbers):
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(numbers)


def matrix_profile(to_xyz_d50, curve, version=2):
    """Return an RGB profile from its matrix [3,3] to XYZ under D50 and one curve for all."""
    tags = {}
    for index, letter in enumerate(b"rgb"):
        column = [row[index] for row in to_xyz_d50]
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(column)
        tags[bytes([letter]) + b"TRC"] = curve
    return profile(b"RGB ", tags, version)


def lut(table, wide, before=None, after=None):
    """Return lut8Type or lut16Type with a table [g,…,g,3] of values 0…1."""
    channels, grid = table.ndim - 1, table.shape[0]
    kind, top = (">u2", 65535) if wide else ("u1", 255)
    ramp = np.linspace(0, 1, 256)
    before, after = (ramp if curve is None else curve for curve in (before, after))
    head = (b"mft2" if wide else b"mft1") + b"\0\0\0\0" + bytes([channels, 3, grid, 0])
    head += _fixed(np.eye(3).ravel())
    if wide:
        head += struct.pack(">HH", len(before), len(after))

    def steps(values):
        return np.round(np.asarray(values) * top).astype(kind).tobytes()

    return head + steps(before) * channels + steps(table) + steps(after) * 3


def lut_a_to_b(table, curve, matrix, bits):
    """Return lutAToBType with every stage: A curves, table [g,…,g,3], M curves, matrix, B."""
    channels, grid = table.ndim - 1, table.shape[0]
    kind, top = (">u2", 65535) if bits == 16 else ("u1", 255)
    curve = curve + b"\0" * (-len(curve) % 4)
    cells = bytes([grid] * channels + [0] * (16 - channels)) + bytes([bits // 8, 0, 0, 0])
    cells += np.round(table * top).astype(kind).tobytes()
    cells += b"\0" * (-len(cells) % 4)
    weights = _fixed(np.asarray(matrix)[:, :3].ravel()) + _fixed(np.asarray(matrix)[:, 3])
    parts = {"b": curve * 3, "matrix": weights, "m": curve * 3, "table": cells}
    parts["a"] = curve * channels
    offsets, body = [], b""
    for content in parts.values():
        offsets.append(32 + len(body))
        body += content
    return b"mAB \0\0\0\0" + bytes([channels, 3, 0, 0]) + struct.pack(">5I", *offsets) + body
