"""unet-bundles picture."""

import json
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.common import Common, Convention
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.data.cases import Case, Cohort
    from pipeline.pictures.cases import LabelFile
    from pipeline.tasks import Task


@dataclass(kw_only=True)
class Picture(Common):
    """Draw predictions on their images: three planes through the largest lesion, as PNG."""

    images: Path
    """Folder of the cases or of one case, or one image file."""
    predictions: Path
    """Folder of the predictions, <case>.nii.gz, or one file."""
    references: Path | None = None
    """Folder of the cases with labels or of label files <case>.nii.gz, or one file."""
    output: Path
    """Folder of the pictures, <case>.png."""
    modality: str | None = None
    """Which image is drawn; the first of the task if not given."""
    lightbox: bool = False
    """Draw evenly spaced axial slices too, <case>_lightbox.png."""
    layout: str | None = None
    """How the images lie, such as bids, or pattern:{case}_{modality}.nii.gz; recognised if not
    given."""
    labels: Convention | None = None
    """Convention of the references' values; that of their layout or of the values if not given."""
    bundle: str | None = None
    """Whose task this is; what segment wrote beside the predictions if not given."""
    json: bool = False
    """Print what became of each case as JSON."""

    def run(self) -> int:
        """Draw each prediction, then tell what failed."""
        from pipeline.evaluation import recorded_task
        from pipeline.pictures.cases import draw_case, find_images, find_predictions, is_one_file
        from pipeline.progress import over_cases

        files = find_predictions(self.predictions)
        folder = self.predictions.parent if self.predictions.is_file() else self.predictions
        task, convention = recorded_task(folder, self.bundle)
        modality = self.modality or task.modalities[0]
        cohort = find_images(self.images, task, modality, self.layout)
        cases = {case.name: case for case in cohort.cases}
        if is_one_file(self.images) and len(files) == 1:  # they go together, whatever their names
            files = dict(zip(cases, files.values(), strict=True))
        references = self.found_references(task, files)
        predictions = self.label_files(files, task, convention)
        self.check_apart(cases.values(), [*predictions.values(), *references.values()])
        written: list[str] = []
        failed: dict[str, str] = {}
        with over_cases("picture", len(predictions)) as on_case:
            for name, prediction in predictions.items():
                try:
                    if name not in cases:
                        lacking = f"no {modality} image of case {name}: add it to --images"
                        raise UserError(cohort.refused.get(name, lacking))
                    draw_case(
                        *(cases[name], prediction, references.get(name), task),
                        self.pictures(name),
                        f"{name}: {modality}",
                    )
                    written.append(name)
                except UserError as error:
                    failed[name] = str(error)
                on_case("failed" if name in failed else "written", name)
        self.tell(written, failed, cohort)
        return 1 if failed else 0

    def found_references(self, task: "Task", drawn: Mapping[str, Path]) -> dict[str, "LabelFile"]:
        """The references by case; none if none are asked for.

        Raises:
            UserError: one file is given for several cases that are ``drawn``.
        """
        from pipeline.data.cohorts import find_labels
        from pipeline.pictures.cases import is_one_file

        if self.references is None:
            return {}
        if is_one_file(self.references):
            if len(drawn) != 1:
                raise UserError(
                    f"{self.references} is of one case, and --predictions has {len(drawn)}: give "
                    "the folder of the references"
                )
            return self.label_files(dict.fromkeys(drawn, self.references), task, None)
        files, convention = find_labels(self.references, self.layout)
        return self.label_files(files, task, self.labels or convention)

    def label_files(
        self, files: Mapping[str, Path], task: "Task", convention: str | None
    ) -> dict[str, "LabelFile"]:
        """``files`` with their convention: the one that is known, else asked for, else found."""
        from pipeline.data.conventions import told_by_values
        from pipeline.pictures.cases import LabelFile

        if not files:
            return {}
        known = "classes" if task.classes else convention or self.labels
        if known is None:
            where = next(iter(files.values())).parent
            known = told_by_values(files.values(), task, where, each_its_own=True)
        return {name: LabelFile(path, known) for name, path in files.items()}

    def check_apart(self, cases: "Collection[Case]", labels: "Iterable[LabelFile]") -> None:
        """Refuse an output in which a picture would replace what is drawn, or lie among it.

        Raises:
            UserError: naming the output.
        """
        given = {path for case in cases for path, _ in case.images}
        given |= {case.label for case in cases if case.label is not None}
        given |= {file.path for file in labels}
        folders = [self.images, *(path.parent for path in given)]
        if realpath(self.output) in map(realpath, folders):
            raise UserError(f"{self.output} holds what is drawn: choose another output")

    def pictures(self, case: str) -> dict[str, Path]:
        """What is drawn of a case, and where it is written."""
        pictures = {"planes": self.output / f"{case}.png"}
        if self.lightbox:
            pictures["lightbox"] = self.output / f"{case}_lightbox.png"
        return pictures

    def tell(self, written: list[str], failed: Mapping[str, str], cohort: "Cohort") -> None:
        """Print what became of the cases; as JSON without the paths of private ones."""
        for name, text in sorted(failed.items()):
            print(f"failed: {name}: {text}", file=sys.stderr)
        if self.json:
            told = {"written": written, "failed": cohort.without_paths(failed)}
            print(json.dumps(told, indent=2))
        else:
            print(f"{len(written)} drawn in {self.output}, {len(failed)} failed")
