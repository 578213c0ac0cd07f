"""A bundle whose network can be followed by hand, converted already, and cases for it."""

import nibabel as nib
import numpy as np
import openvino
from safetensors.numpy import save_file

from pipeline.bundles import Bundle
from pipeline.files import write_json
from pipeline.inference.backends import cache
from pipeline.inference.backends.openvino import FILE
from pipeline.inference.codes import Rules
from pipeline.inference.plan import Windowing
from pipeline.inference.settings import Settings
from pipeline.recipe import Recipe
from pipeline.tasks import Task

CONFIG = """
task: {modalities: [flair, t1], classes: [background, structure]}
domains: null
"""


def write_bundle(folder, flair_weight):
    """A bundle that finds its structure where ``flair_weight`` * flair + t1 is above a half.

    Its first convolution adds the modalities, ReLU follows, and its second compares with a half.
    """
    bundle = Bundle(folder)
    bundle.config_file("inference").parent.mkdir(parents=True)
    bundle.config_file("inference").write_text(CONFIG)
    bundle.weights.parent.mkdir()
    weights = np.array([flair_weight, 1], np.float32).reshape(1, 2, 1, 1, 1)
    save_file({"weight": weights}, bundle.weights)
    task = Task.of(bundle.config("inference")["task"])
    recipe = Recipe(foreground_margin=None, intensity=None)
    settings = Settings(bundle.name, task, recipe, Windowing(3, (16, 16, 16)), Rules())
    with cache.writing(cache.entry_of(bundle, bundle.weights, "openvino")) as part:
        write_json(part / cache.SETTINGS, settings.to_json())
        openvino.save_model(network(weights), part / FILE, compress_to_fp16=False)
        cache.finish(part, {"verdict": "passed", "reason": "", "bytes_per_voxel": 64})
    return bundle


def network(weights):
    op = openvino.opset13
    image = op.parameter([-1, 2, -1, -1, -1], np.float32, name="image")
    once, none = [1, 1, 1], [0, 0, 0]
    total = op.relu(op.convolution(image, op.constant(weights), once, none, none, once))
    compare = np.array([0, 1], np.float32).reshape(2, 1, 1, 1, 1)
    logits = op.convolution(total, op.constant(compare), once, none, none, once)
    half = np.array([0.5, 0], np.float32).reshape(1, 2, 1, 1, 1)
    return openvino.Model([op.add(logits, op.constant(half))], [image])


def write_cases(folder, count):
    """Cases of 24 x 20 x 16 voxels: t1 is 1 in the structure, flair is -1 in a corner beside it."""
    for number in range(count):
        flair, t1 = np.zeros((2, 24, 20, 16), np.float32)
        flair[:4, :4, :4] = -1
        t1[8 + number : 16, 6:14, 5:11] = 1
        case = folder / f"case{number}"
        case.mkdir(parents=True)
        for name, array in (("flair", flair), ("t1", t1), ("seg", t1.astype(np.uint8))):
            nib.save(nib.Nifti1Image(array, np.eye(4)), case / f"{name}.nii.gz")
    return folder
