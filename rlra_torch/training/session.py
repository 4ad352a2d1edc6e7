"""Lightning's command line, tamed: one configuration, one sentence where it is wrong."""

from __future__ import annotations

import argparse
import logging
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from .comparison import Comparison
from .curves import LearningCurves
from .factorizer import Factorizer
from .paths import ErrorPaths

# What Lightning says about itself, and about data that are drawn rather than loaded.
NOISE = (
    ".*does not have many workers.*",
    ".*The number of training batches.*is smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
    "(?s).*was deprecated in v4.*",
    "(?s).*JsonargparseDeprecationWarning.*",
    ".*The `.*` property is deprecated.*",
    ".*You're resuming from a checkpoint that ended before the epoch ended.*",
    ".*The dirpath has changed from.*",
    ".*GPU available but not used.*",
    ".*Be aware that when using `ckpt_path`, callbacks.*",
)

DEFAULTS = {"enable_model_summary": False, "num_sanity_val_steps": -1, "log_every_n_steps": 10}


class Bar(RichProgressBar):
    """A progress bar with the validation loss beside it."""

    def get_metrics(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> dict[str, Any]:
        """What stands beside the bar; the number of the run does not change."""
        shown = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in shown.items() if name != "v_num"}


class Best(ModelCheckpoint):
    """The best of all epochs, those before a resume, whose files lie elsewhere, included."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what was the best, with a copy of its file."""
        super().load_state_dict(state_dict)
        before, folder = Path(state_dict["best_model_path"]), Path(self.dirpath or ".")
        if before.parent == folder or not before.is_file():
            return
        folder.mkdir(parents=True, exist_ok=True)
        here = str(shutil.copy2(before, folder))
        self.best_model_path = self.kth_best_model_path = here
        self.best_model_score = self.kth_value = state_dict["best_model_score"]
        self.best_k_models = {here: state_dict["best_model_score"]}


class Session(LightningCLI):
    """Network, data and trainer of a configuration.

    Args:
        configs: YAML files.
        overrides: ``--key value``.
        fitting: whether logs, checkpoints and curves are wanted.

    Raises:
        OSError, TypeError, ValueError: bad input, in one sentence.
    """

    def __init__(
        self, configs: Sequence[str], overrides: Sequence[str], fitting: bool = False
    ) -> None:
        for config in configs:
            if not Path(config).is_file():
                raise FileNotFoundError(f"there is no configuration '{config}'; check the path")
        self.fitting = fitting
        self.comparison, self.paths = Comparison(), ErrorPaths()
        words = [word for config in configs for word in ("--config", str(config))]
        try:
            super().__init__(
                Factorizer,
                lightning.LightningDataModule,
                subclass_mode_data=True,
                save_config_callback=SaveConfigCallback if fitting else None,
                save_config_kwargs={"overwrite": True},
                trainer_defaults=DEFAULTS,
                seed_everything_default=0,
                parser_kwargs={"exit_on_error": False, "prog": "rlra"},
                args=[*words, *overrides],
                run=False,
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
            )
        except argparse.ArgumentError as error:
            raise ValueError(one_sentence(str(error))) from None
        except ValueError as error:
            # The parser also wraps what our own classes say of their arguments.
            if "Union subtypes" not in str(error):
                raise
            raise ValueError(one_sentence(str(error))) from None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What a configuration may say besides Lightning's own words."""
        parser.add_class_arguments(Comparison, "comparison", skip={"out"})
        parser.add_argument("--checkpoint.monitor", type=str, default="val_loss")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:  # noqa: ANN401
        """Parse; Lightning's own method asks that the program be called without arguments."""
        self.config = parser.parse_args(args)

    def instantiate_trainer(self, **kwargs: Any) -> lightning.Trainer:  # noqa: ANN401
        """The trainer, with the logs and callbacks of this package."""
        settings = self.config_init["trainer"]
        self.comparison = self.config_init["comparison"]
        self.paths = ErrorPaths(self.comparison.name)
        extra: list[lightning.Callback] = [self.comparison, self.paths]
        if settings["enable_progress_bar"] is None:
            kwargs["enable_progress_bar"] = sys.stderr.isatty()
        if kwargs.get("enable_progress_bar", settings["enable_progress_bar"]):
            extra.append(Bar(leave=False, console_kwargs={"stderr": True}))
        plain = settings["fast_dev_run"] or settings["logger"] is False
        if self.fitting and settings["logger"] in (None, True):
            kwargs["logger"] = _loggers(settings["default_root_dir"] or "runs")
        elif not self.fitting:
            # One device: methods are timed, and images are single.
            kwargs |= {"logger": False, "devices": 1, "strategy": "auto"}
        if self.fitting and not plain:
            extra += self._recorders()
        return self._instantiate_trainer({**settings, **kwargs}, extra)

    def folder(self, out: str | None, checkpoint: str | None) -> Path:
        """Where results go: ``out``, else the run of the checkpoint, else that of the trainer."""
        run = None if checkpoint is None else Path(checkpoint).parent.parent
        if out is None and run is not None and (run / "config.yaml").is_file():
            return run
        return Path(out or self.trainer.default_root_dir)

    def _recorders(self) -> list[lightning.Callback]:
        monitor = self.config_init["checkpoint"]["monitor"]
        # Its option save_last keeps the last of those that are best, not the last.
        best = Best(filename="best", monitor=monitor, enable_version_counter=False)
        last = ModelCheckpoint(filename="last", enable_version_counter=False)
        return [best, last, LearningRateMonitor("epoch"), LearningCurves(self.comparison.name)]


def one_sentence(message: str) -> str:
    """A complaint of the parser in one line, about the keys of a configuration.

    Where a key may be of several kinds the parser lists what is wrong with each: the first is the
    one that a configuration gives.

    Example:
        >>> one_sentence('Parser key "depth":    Expected a <class "int">. Got value: x')
        'configuration: depth: Expected a <class "int">. Got value: x'
    """
    words = " ".join(message.split())
    words = re.sub(r"(- Expected a path .*? )?(- )?Does not validate .*? Errors: - ", "", words)
    value = re.search(r" Given value: (\w{1,40})([.] |$)", words)
    nothing = r" - Expected a <class 'NoneType'>| - Expected a dot import"
    words = re.split(rf"{nothing}| Given value type: |[.]? Got value: \w+[({{]", words)[0]
    words = re.sub(r"Type typing.*? expects a function or a callable class: ", "", words)
    words = re.sub(r"(?:Parser )?key \"([^\"]+)\"", r"\1", words)
    words = re.sub(r"Problem with given class_path '([^']+)'", r"\1", words)
    words = re.sub(r"Expected a <class '(?:\w+[.])*(\w+)'>", r"expected \1", words)
    return f"configuration: {words}" + (f", got {value[1]}" if value else "")


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Lightning says of itself, and with its complaints as `ValueError`."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for pattern in NOISE:
            warnings.filterwarnings("ignore", pattern)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        except MisconfigurationException as error:
            raise ValueError(" ".join(str(error).split())) from None
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _loggers(folder: str) -> list[Logger]:
    """CSV always, TensorBoard where it is installed, in one folder of a new version."""
    table = CSVLogger(folder, name="")
    if find_spec("tensorboard") is None:
        print("TensorBoard is not installed, so that only metrics.csv is written.", file=sys.stderr)
        return [table]
    return [table, TensorBoardLogger(folder, name="", version=table.version)]
