"""The cost of a measured training on all of ImageNet with many accelerators.

The cost is computed, not measured: from the parameters and operations of the network,
the sizes of the data, and assumptions about accelerators and the links between them.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Assumed:
    """Assumptions about a machine that was not measured.

    Attributes:
        flops: Operations per second that an accelerator sustains in float32.
        link: Bytes per second between accelerators.
        decoded: JPEG files per second that a core decodes and resizes.
        examples: Examples per second that a core cuts, scrambles and batches.
    """

    flops: float = 20e12
    link: float = 12.5e9
    decoded: float = 150
    examples: float = 1800


# The number of photographs in ILSVRC 2012, train, and the bytes of their JPEG files.
IMAGES, JPEG_BYTES = 1_281_167, 147_897_477_120


def epoch(case, accelerators, assumed=Assumed()):
    """The cost of an epoch of ImageNet, with the batch of a case on each accelerator.

    A training step takes three times the operations of a forward pass. In a ring
    all-reduce each accelerator sends `2 (k - 1) / k` times the gradients.

    Args:
        case: Dict with `image_size`, `batch_size`, `parameters`, `forward_flops`.
        accelerators: The number of accelerators.
        assumed: `Assumed`.

    Returns:
        Dict of floats, in units of bytes, seconds and counts.
    """
    batch, side = case["batch_size"], case["image_size"]
    compute = 3 * case["forward_flops"] * batch / assumed.flops
    sent = 2 * (accelerators - 1) / accelerators * 4 * case["parameters"]
    step = compute + sent / assumed.link
    rate = accelerators * batch / step
    # An example consists of pieces and target, of three channels in float32.
    example = 2 * side * side * 3 * 4
    return {
        "steps": IMAGES / (accelerators * batch),
        "operations": 3 * case["forward_flops"] * IMAGES,
        "JPEG bytes": JPEG_BYTES,
        "decoded bytes (uint8, room for crops)": IMAGES * 3 * round(side * 9 / 8) ** 2,
        "seconds of computing, a step": compute,
        "all-reduced bytes, a step and accelerator": sent,
        "seconds of all-reduce, a step": sent / assumed.link,
        "seconds of an epoch, by these": IMAGES / rate,
        "examples per second, by these": rate,
        "JPEG bytes per second, to keep up": rate * JPEG_BYTES / IMAGES,
        "batch bytes per second, to keep up": rate * example,
        "cores that decode, to keep up": rate / assumed.decoded,
        "cores that make batches, to keep up": rate / assumed.examples,
    }


def table(case, counts=(8, 64)):
    """`epoch` for some numbers of accelerators, as lines of text."""
    columns = [epoch(case, count) for count in counts]
    lines = [f"{'accelerators':44}" + "".join(f"{count:12}" for count in counts)]
    for name in columns[0]:
        lines.append(f"{name:44}" + "".join(f"{x[name]:12.3g}" for x in columns))
    return "\n".join(lines)
