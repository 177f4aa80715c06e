"""Fixtures every part may use: a clean environment, a tiny real model, the real logs if at hand."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

from tests.mlflow_home import share_template
from tests.tiny_model import write_tiny_model

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"

# the suite must not depend on whoever runs it, and nothing it starts may call out
for name in [name for name in os.environ if name.startswith(("FLYWHEEL_", "PREFECT_", "MLFLOW_"))]:
    del os.environ[name]
os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
# torch's waiting threads sleep instead of spin: whoever shares the machine may run
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# a shell that starts us in the background has all we start ignore Ctrl-C, and so outlive it
signal.signal(signal.SIGINT, signal.default_int_handler)

# no example fails because the machine is slow
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


_GPU = "on a GPU only"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help=f"what is skipped fails, but for '{_GPU}'"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slow ones first: processes take work from each other best while much is left.

    Coverage is measured of neither them nor what goes one way a hundred times: to measure it takes
    half as long again, and others go the same ways.
    """
    if "scale" not in config.getoption("markexpr"):
        elsewhere = [item for item in items if item.get_closest_marker("scale") and _missing(item)]
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("hypothesis"):
            item.add_marker("no_cover")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if missing := _missing(item):
        pytest.skip(f"not installed: {', '.join(missing)} (make test-all)")


def _missing(item: pytest.Item) -> list[str]:
    """Packages that it needs and that are not installed."""
    needed = [name for marker in item.iter_markers("needs") for name in marker.args]
    return [name for name in needed if importlib.util.find_spec(name) is None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("no_skips") and _GPU not in str(report.longrepr):
        report.outcome, report.longrepr = "failed", f"not run: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> None:
    share_template(tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama folder of random weights that loads and answers in milliseconds."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real logs and data sets nobody here wrote; they are not part of the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data beside the repository ({SHARED.name}/ is absent)")
    return SHARED
