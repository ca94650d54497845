"""What would stop an experiment's runs late, looked for before the first of them."""

from pathlib import Path
from typing import Any

from corpus_lonely.errors import SettingsError
from corpus_lonely.model.encoder import check_length, load_config
from corpus_lonely.taxonomy import loneliness
from corpus_lonely.training.card import public_settings
from corpus_lonely.training.experiment.runs import (
    DONE,
    OTHER,
    TO_DO,
    Place,
    all_runs,
    other_settings,
)
from corpus_lonely.training.experiment.spec import Adaptation, Experiment, as_keys
from corpus_lonely.training.processes import training_device
from corpus_lonely.training.run_folder import differing, lost, unfinished


def check_runs(experiment: Experiment, place: Place, machine: dict[str, Any]) -> None:
    """Raises OutputError, ModelError or SettingsError for the first run that is to be made and cannot.

    machine: `device` and `threads`, where they were given.
    """
    adaptations = set()
    for system, seed in all_runs(experiment, loneliness()):
        state = place.state(experiment, system, seed)
        if state == OTHER:
            raise other_settings(place.model(system, seed))
        if state == DONE:
            continue
        out = place.model(system, seed)
        told = experiment.encoders[system.encoder]
        if isinstance(told, Adaptation) and not place.has_encoder(system.encoder):
            adaptations.add(system.encoder)
        base = told.base if isinstance(told, Adaptation) else told
        settings = experiment.settings(system, seed, out, base)
        if state == TO_DO:
            _check_unfinished(out, public_settings(settings.identity()))
        _check(f"system {system.name!r}", base, settings.device, settings.max_tokens)
    for name in sorted(adaptations):
        adaptation = experiment.encoders[name]
        assert isinstance(adaptation, Adaptation)  # noqa: S101  (only those are in the set)
        asked = adaptation.settings(experiment.labels, Path(name), machine)
        _check(f"encoders.{name}", adaptation.base, asked.device, asked.max_tokens)


def _check_unfinished(out: Path, settings: dict[str, Any]) -> None:
    for checkpoints in unfinished(out):
        found = differing(checkpoints, settings)
        differences = {name: found[name] for name in found if name not in ("labels", "encoder")}
        if differences:
            raise lost(checkpoints, differences)


def _check(where: str, encoder: str, device: str, max_tokens: int) -> None:
    try:
        training_device(device)
        check_length(max_tokens, load_config(encoder))
    except SettingsError as error:
        raise SettingsError(f"{where}: {as_keys(error)}") from error
