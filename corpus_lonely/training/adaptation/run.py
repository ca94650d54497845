"""Adapts an encoder to unlabelled posts, from opening them to the finished folder."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.trainer_utils import get_last_checkpoint

from corpus_lonely import __version__
from corpus_lonely.files import output_error, read_json, write_json
from corpus_lonely.model.encoder import encoder_fingerprint, quiet
from corpus_lonely.progress import Progress, Silent
from corpus_lonely.training.adaptation.building import Sources, build_store
from corpus_lonely.training.adaptation.card import model_card
from corpus_lonely.training.adaptation.curve import draw_adaptation
from corpus_lonely.training.adaptation.settings import AdaptSettings
from corpus_lonely.training.adaptation.tokens import TokenStore, check_words
from corpus_lonely.training.adaptation.trainer import AdaptationTrainer, make_model, make_trainer
from corpus_lonely.training.card import public_settings
from corpus_lonely.training.claim import claimed
from corpus_lonely.training.devices import computing_on
from corpus_lonely.training.processes import is_main, training_device, world_size
from corpus_lonely.training.run_folder import RunFolder, keep_only

RECORD = "adaptation.json"


@dataclass(frozen=True)
class AdaptReport:
    """What an adaptation came to."""

    out: Path
    posts: int
    """Learnt from."""
    held_out: int
    """Posts that perplexity was measured on."""
    before: float
    """Perplexity of the encoder as it was given."""
    after: float
    already_there: bool = False
    """The same encoder had been made before, and nothing was done."""

    @classmethod
    def of(cls, out: Path, record: dict[str, Any], already_there: bool = False) -> "AdaptReport":
        """From what `adaptation.json` tells."""
        found = record["perplexity"]
        posts, held_out = record["train"]["posts"], record["held_out"]["posts"]
        return cls(out, posts, held_out, found["before"], found["after"], already_there)


def adapt_encoder(settings: AdaptSettings, progress: Progress | None = None) -> AdaptReport:
    """Trains an encoder to guess hidden words of posts, and writes it as a model folder.

    Interrupted and called again with the same settings, it goes on from the last checkpoint. Of several
    processes that `torchrun` starts, each calls this; the main one writes and tells.
    Raises InputError, LabelsError, ModelError, OutputError or SettingsError in one line.
    """
    progress = progress if progress and is_main() else Silent()
    settings.per_process(world_size())
    training_device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    sources = Sources.open(settings)
    encoder = encoder_fingerprint(settings.encoder)
    tokens = sources.fingerprint(settings, encoder)
    fingerprint = settings.fingerprint(tokens, encoder)
    folder = RunFolder(settings.out, "adapt", RECORD, "an encoder of other settings or posts")
    done = folder.finished(fingerprint, settings.overwrite)
    if done:
        return AdaptReport.of(settings.out, done, already_there=True)
    with claimed(settings.out) if is_main() else nullcontext(), quiet():
        done = folder.finished(fingerprint, settings.overwrite) if world_size() == 1 else None
        if done:  # another process ended it just now
            return AdaptReport.of(settings.out, done, already_there=True)
        run = _Run(settings, sources, folder, fingerprint, progress)
        return run.to_the_end(folder.about / "tokens" / tokens)


class _Run:
    """A run that is not finished yet."""

    def __init__(
        self,
        settings: AdaptSettings,
        sources: Sources,
        folder: RunFolder,
        fingerprint: str,
        progress: Progress,
    ) -> None:
        self._settings, self._sources, self._folder = settings, sources, folder
        self._fingerprint, self._progress = fingerprint, progress
        self._checkpoints = folder.checkpoints_of(fingerprint)
        self._here = computing_on(settings.device, settings.precision)
        self._model, self._tokenizer, self._new_head = make_model(settings)

    def to_the_end(self, tokens: Path) -> AdaptReport:
        """All of it; the token store goes to the folder `tokens`."""
        self._notes_before()
        store = self._store(tokens)
        self._notes_on(store)
        computing = self._folder.computing_of(self._fingerprint) or self._here
        exact = replace(self._settings, precision=computing.precision)
        trainer = make_trainer(
            exact, self._model, self._tokenizer, store, self._checkpoints, self._progress
        )
        trainer.accelerator.wait_for_everyone()  # the main process clears torn checkpoints away
        before, after = self._train(trainer)
        record = self._record(trainer, store, before, after)
        record["computed"] = asdict(replace(computing, device=self._here.device))
        trainer.accelerator.wait_for_everyone()  # none may be reading what publishing removes
        if is_main():
            self._publish(record)
        trainer.accelerator.end_training()  # and the group of processes with it
        return AdaptReport.of(self._settings.out, record)

    def _store(self, tokens: Path) -> TokenStore:
        if self._settings.whole_word_masking:
            check_words(self._tokenizer)
        if not is_main():
            return TokenStore.wait(tokens)
        self._folder.begin(
            self._fingerprint,
            public_settings(self._settings.identity()),
            self._here,
            overwrite=self._settings.overwrite,
            progress=self._progress,
        )
        try:
            keep_only(tokens)
        except OSError as error:
            raise output_error(error, tokens) from error
        return build_store(tokens, self._sources, self._settings, self._tokenizer, self._progress)

    def _train(self, trainer: AdaptationTrainer) -> tuple[dict[str, float], dict[str, float]]:
        """What perplexity was before and is after."""
        resume = get_last_checkpoint(str(self._checkpoints))
        if resume:
            self._progress.note(f"Going on from {Path(resume).name}.")
        try:
            before = self._before(trainer)
            trainer.train(resume_from_checkpoint=resume)
            after = _last_measurement(trainer)
        except OSError as error:
            raise output_error(error, self._checkpoints) from error
        finally:
            self._progress.finish()
        return before, after

    def _before(self, trainer: AdaptationTrainer) -> dict[str, float]:
        """Measured once: a run that goes on has another encoder in hand."""
        kept = self._checkpoints / "before.json"
        there = kept.is_file()
        trainer.accelerator.wait_for_everyone()  # all have looked before it is written
        if there:
            found: dict[str, float] = read_json(kept)
            return found
        found = {**trainer.evaluate(), "epoch": 0.0, "step": 0}
        if is_main():
            write_json(kept, found)
        return found

    def _record(
        self,
        trainer: AdaptationTrainer,
        store: TokenStore,
        before: dict[str, float],
        after: dict[str, float],
    ) -> dict[str, Any]:
        return {
            "fingerprint": self._fingerprint,
            "settings": public_settings(self._settings.told()),
            "processes": world_size(),
            "versions": {
                "corpus_lonely": __version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "new_head": self._new_head,
            **store.facts,
            "excludable": self._sources.excluded.posts,
            "steps": trainer.state.global_step,
            "perplexity": {
                "before": before["eval_perplexity"],
                "after": after["eval_perplexity"],
                "masked_tokens": after["eval_masked_tokens"],
            },
            "history": [before, *trainer.state.log_history],
        }

    def _publish(self, record: dict[str, Any]) -> None:
        def write(draft: Path) -> None:
            self._model.save_pretrained(draft)
            self._tokenizer.save_pretrained(draft)
            write_json(draft / RECORD, record)
            draw_adaptation(record["history"], draft / "adaptation.png")
            (draft / "README.md").write_text(model_card(record, self._settings.encoder), "utf-8")

        self._folder.publish(write)

    def _notes_before(self) -> None:
        if self._new_head:
            self._progress.note(
                f"Warning: {self._settings.encoder} was saved without a masked-language-model head; "
                "a new one starts from random numbers."
            )
        if not self._settings.exclude:
            self._progress.note(
                "Note: if these posts hold those you will evaluate on, leave them out with --exclude."
            )

    def _notes_on(self, store: TokenStore) -> None:
        if not self._settings.exclude:
            return
        posts, excluded = store.facts["posts"], self._sources.excluded.posts
        by_id, by_text = posts["excluded_by_id"], posts["excluded_by_text"]
        if by_id + by_text:
            self._progress.note(
                f"Left out: {by_id:,} posts by id and {by_text:,} by text, "
                f"of {excluded:,} in --exclude."
            )
        else:
            self._progress.note(
                f"Warning: none of the {excluded:,} dev and test posts of --exclude was found among "
                "the posts, by id or by text."
            )


def _last_measurement(trainer: AdaptationTrainer) -> dict[str, float]:
    """The measurement at the last step, which the Trainer makes unless a resumed run had nothing left to do."""
    last = [entry for entry in trainer.state.log_history if "eval_perplexity" in entry]
    if last and last[-1]["step"] == trainer.state.global_step:
        found: dict[str, float] = last[-1]
        return found
    return trainer.evaluate()
