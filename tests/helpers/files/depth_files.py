"""Small depth files of every kind, as other tools write them."""

import base64
import io
import struct

import numpy as np
import OpenEXR
from PIL import Image

HEIGHT, WIDTH = 24, 36
SHARE = np.tile(np.linspace(0, 1, WIDTH), (HEIGHT, 1))
METRES = (1.5 + 3 * SHARE).astype(np.float32)  # near at the left
MILLIMETRES = (METRES * 1000).round().astype(np.uint16)
HEAD = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
_NOISE = np.random.default_rng(0).random((3, HEIGHT, WIDTH)).astype(np.float32)
RGB = dict(zip("RGB", _NOISE, strict=True))


def close(found, wanted=METRES, rtol=1e-5):
    """Assert the depth, m, of a depth map."""
    np.testing.assert_allclose(found.depth[0].numpy(), wanted, rtol=rtol)


def write_exr(path, channels, **head):
    OpenEXR.File(HEAD | head, dict(channels)).write(str(path))  # it changes what it is given


def write_pfm(path, values, order="<", kind=b"Pf"):
    scale = b"-1.0" if order == "<" else b"1.0"
    head = b"%s\n%d %d\n%s\n" % (kind, values.shape[1], values.shape[0], scale)
    path.write_bytes(head + np.flipud(values).astype(order + "f4").tobytes())


def tiff(values, order, compression=1):
    """Return a TIFF of one strip, plain or called compressed; Pillow cannot write most of these."""
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    bits, height, width = 8 * values.dtype.itemsize, *values.shape
    tags = [(256, width), (257, height), (258, bits), (259, compression), (262, 1),
            (273, 8), (277, 1), (278, height), (279, values.nbytes), (339, kind)]  # fmt: skip
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + values.nbytes)
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    return head + values.tobytes() + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


def png_bytes(values):
    packed = io.BytesIO()
    Image.fromarray(values).save(packed, "PNG")
    return packed.getvalue()


def photo():
    return Image.fromarray((np.stack(list(RGB.values()), -1) * 255).astype(np.uint8))


def xmp(space, address, attributes, inside=""):
    facts = " ".join(f'{space}:{name}="{value}"' for name, value in attributes.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        f'xmlns:{space}="{address}" {facts}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
    )


def gdepth_xmp(levels, **changes):
    facts = {
        "Format": "RangeLinear",
        "Near": 0.5,
        "Far": 8.0,
        "Units": "m",
        "Mime": "image/png",
        "Data": base64.b64encode(png_bytes(levels)).decode(),
    }
    return xmp("GDepth", "http://ns.google.com/photos/1.0/depthmap/", facts | changes)


def iphone_packet():
    """Return what an iPhone says of its depth picture: 0.25…2 per metre, and its camera."""
    items = "".join(f"<rdf:li>{value}</rdf:li>" for value in (360, 0, 0, 0, 360, 0, 180, 120, 1))
    inside = (
        "<apdi:AuxiliaryImageType>disparity</apdi:AuxiliaryImageType>"
        "<apdi:FloatMinValue>0.25</apdi:FloatMinValue><apdi:FloatMaxValue>2</apdi:FloatMaxValue>"
        f"<depthData:IntrinsicMatrix><rdf:Seq>{items}</rdf:Seq></depthData:IntrinsicMatrix>"
        "<depthData:IntrinsicMatrixReferenceWidth>360</depthData:IntrinsicMatrixReferenceWidth>"
        "<depthData:IntrinsicMatrixReferenceHeight>240</depthData:IntrinsicMatrixReferenceHeight>"
    )
    return xmp("apdi", "http://ns.apple.com/pixeldatainfo/1.0/", {}, inside)
