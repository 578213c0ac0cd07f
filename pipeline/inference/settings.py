"""What decides a prediction besides the weights, as plain data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.bundles import Bundle
from pipeline.errors import UserError
from pipeline.inference.codes import Rules
from pipeline.inference.plan import Windowing
from pipeline.recipe import Recipe
from pipeline.tasks import Task


@dataclass(frozen=True)
class Settings:
    """The inference config of a bundle, resolved.

    Args:
        bundle: the name of its folder.
        task: what it segments.
        recipe: what happens to an image before the network sees it.
        windowing: how the network sees a volume.
        rules: what is removed from a prediction.
    """

    bundle: str
    task: Task
    recipe: Recipe
    windowing: Windowing
    rules: Rules

    @classmethod
    def of(cls, bundle: Bundle, divisor: int | None) -> "Settings":
        """The settings of ``bundle``, its domain's if it has several.

        Args:
            bundle: whose inference config is evaluated, by MONAI's parser.
            divisor: of the network; None where it tells none.

        Raises:
            UserError: its ``inferer`` or ``postprocessing`` is none that can be planned, or its
                windows do not fit the ``divisor``.
        """
        from monai.bundle import ConfigParser

        from pipeline.inference.inferer import DomainWindows, Windows
        from pipeline.transforms import Restore

        parser = ConfigParser(bundle.config("inference"))
        parser["bundle_root"] = str(bundle.root)
        inferer, restore = map(parser.get_parsed_content, ("inferer", "postprocessing"))
        for key, value, known in (
            ("inferer", inferer, (Windows, DomainWindows)),
            ("postprocessing", restore, Restore),
        ):
            if not isinstance(value, known):
                raise UserError(
                    f"{bundle.config_file('inference')} has a {key} of its own, a "
                    f"{type(value).__name__}: run it with python -m monai.bundle run"
                )
        windowing = inferer.windowing(divisor or 1)
        sizes = windowing.patch_size or ()
        if any(size % (divisor or 1) for size in sizes):
            raise UserError(
                f"the inferer in {bundle.config_file('inference')} has the patch_size "
                f"{list(sizes)}: every size must be a multiple of {divisor}"
            )
        return cls(
            bundle.root.resolve().name,
            bundle.task,
            Recipe.of(parser.get_parsed_content("recipe")),
            windowing,
            Rules(restore.smallest, restore.largest),
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Settings":
        """What ``to_json`` gave."""
        windowing: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content["windowing"].items()
        }
        return cls(
            content["bundle"],
            Task.of({key: value for key, value in content["task"].items() if value}),
            Recipe.of(content["recipe"]),
            Windowing(**windowing),
            Rules(**content["rules"]),
        )
