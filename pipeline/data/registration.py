"""Rigid registration by mutual information (Mattes et al., 2003, doi:10.1109/TMI.2003.809072)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.volumes import Volume
from pipeline.errors import UserError

_BINS = 32
_SEED = 1
_LEVELS = ((4, 2.0), (2, 1.0), (1, 0.0))
"""Of the multi-resolution: shrink factor, and smoothing in voxels of the working grid."""
_SAMPLES = 50_000
"""Voxels that the metric looks at in each level, if there are more."""
_WORKING_VOXELS = 112
"""The working grid is isotropic and has at most so many voxels along an axis."""
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

Affine = NDArray[np.float64]


def register(fixed: Volume, moving: Volume, name: str) -> tuple[Affine, float, float]:
    """The rigid motion that brings ``moving`` onto ``fixed``.

    Starts where the images lie, or with their centres on each other if that is more similar. One
    thread and a fixed seed, so that the same images always give the same motion. Where nothing
    better is found, the images stay where they are.

    Args:
        fixed: (H, W, D).
        moving: (H, W, D).
        name: of ``moving`` in a sentence.

    Returns:
        The matrix (4, 4) from a place in ``fixed`` to the one in ``moving`` (mm RAS), and the
        mutual information (nats) before and after.

    Raises:
        UserError: the images do not overlap, or SimpleITK is not installed.
    """
    sitk = _simpleitk()
    with _one_thread(sitk):
        return _register(sitk, fixed, moving, name)


def _register(sitk: Any, fixed: Volume, moving: Volume, name: str) -> tuple[Affine, float, float]:
    still = _image(sitk, fixed)
    still = sitk.Resample(still, _working_grid(sitk, still), sitk.Transform(), sitk.sitkLinear)
    other = _image(sitk, moving)
    method = _method(sitk, still)
    try:
        starts = [_start(sitk, still, other, centred) for centred in (False, True)]
        similarities = [_similarity(method, still, other, start) for start in starts]
        start = starts[int(np.argmax(similarities))]
        method.SetInitialTransform(start, inPlace=True)
        method.Execute(still, other)
        after = _similarity(method, still, other, start)
    except RuntimeError as error:
        raise UserError(
            f"{name} cannot be registered to the first modality: check that both show one patient "
            "and overlap, or use --align without rigid"
        ) from error
    if after <= similarities[0]:
        return np.eye(4), similarities[0], similarities[0]
    return _matrix(start), similarities[0], after


def _simpleitk() -> Any:
    try:
        import SimpleITK as sitk
    except ImportError as error:
        raise UserError("--align rigid needs SimpleITK: pip install SimpleITK") from error
    return sitk


@contextmanager
def _one_thread(sitk: Any) -> Iterator[None]:
    """Sums of several threads differ in their last digit from run to run."""
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _image(sitk: Any, volume: Volume) -> Any:
    """The image in ITK's coordinates (LPS)."""
    placed = _LPS @ volume.affine
    spacing = np.array(volume.spacing)
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.T.astype(np.float32)))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(placed[:3, 3].tolist())
    image.SetDirection((placed[:3, :3] / spacing).ravel().tolist())
    return image


def _working_grid(sitk: Any, image: Any) -> Any:
    """An empty image over the same place with cubic voxels, so that levels shrink it evenly."""
    extent = np.array(image.GetSize()) * np.array(image.GetSpacing())
    spacing = max(min(image.GetSpacing()), float(extent.max()) / _WORKING_VOXELS)
    size = np.maximum(np.rint(extent / spacing), 1).astype(int)
    grid = sitk.Image(size.tolist(), sitk.sitkUInt8)
    grid.SetSpacing([spacing] * 3)
    grid.SetDirection(image.GetDirection())
    corner = (np.array([spacing] * 3) / np.array(image.GetSpacing()) - 1) / 2
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(corner.tolist()))
    return grid


def _method(sitk: Any, fixed: Any) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetInterpolator(sitk.sitkLinear)
    shrinks, blurs = zip(*_LEVELS, strict=True)
    voxels = float(np.prod(fixed.GetSize()))
    parts = [min(1.0, _SAMPLES * shrink**3 / voxels) for shrink in shrinks]
    method.SetMetricSamplingPercentagePerLevel(parts, _SEED)
    method.SetShrinkFactorsPerLevel(shrinks)
    method.SetSmoothingSigmasPerLevel([blur * fixed.GetSpacing()[0] for blur in blurs])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0,
        minStep=1e-3,
        numberOfIterations=200,
        relaxationFactor=0.8,  # at ITK's 0.5 a turn stops a degree or two short
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _start(sitk: Any, fixed: Any, moving: Any, centred: bool) -> Any:
    """No motion, or that of the centre of ``fixed`` to the centre of ``moving``."""
    transform = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    start = sitk.Euler3DTransform(transform)
    if not centred:
        start.SetTranslation((0.0, 0.0, 0.0))
    return start


def _similarity(method: Any, fixed: Any, moving: Any, transform: Any) -> float:
    """Mutual information; none at all where the images do not overlap."""
    method.SetInitialTransform(transform, inPlace=True)
    try:
        return -float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:
        return 0.0


def _matrix(transform: Any) -> Affine:
    """The transform as a matrix in RAS."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return _LPS @ matrix @ _LPS
