"""What a run wrote for TensorBoard."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def curve(run: Path, name: str) -> dict[int, float]:
    """The values of a curve by iteration; what a resumed run replaced is gone."""
    events = EventAccumulator(str(run / "curves"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(name)}


def names(run: Path) -> set[str]:
    """The names of all curves."""
    events = EventAccumulator(str(run / "curves"))
    events.Reload()
    return set(events.Tags()["scalars"])


def pictures(run: Path) -> list[int]:
    """The iterations at which a picture was drawn."""
    events = EventAccumulator(str(run / "curves"))
    events.Reload()
    return [event.step for event in events.Images("validation")]
