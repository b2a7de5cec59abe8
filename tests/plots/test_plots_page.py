"""The page of samples, opened in a real browser as a file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from saved_experiments import MakeExperiment

from ib_analysis.artifacts import UserError
from ib_analysis.plots import write_samples_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def written(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_samples_page(experiment, tmp_path_factory.mktemp("page") / "default")


def test_page_is_self_contained_and_small(written: Path) -> None:
    text = written.read_text()
    assert written.name == "samples.html"
    assert not re.search(r"https?://", text.replace("http://www.w3.org/2000/svg", ""))
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)
    assert "default-src 'none'" in text  # the browser itself refuses to load anything
    assert written.stat().st_size < 1_000_000


def test_page_is_a_pure_function_of_the_artifacts(experiment: Path, written: Path, tmp_path: Path) -> None:
    assert write_samples_page(experiment, tmp_path).read_bytes() == written.read_bytes()


def test_hostile_names_stay_text(make_experiment: MakeExperiment, tmp_path: Path) -> None:
    folder = make_experiment("a<b>", size=8)
    facts = folder / "data.json"
    facts.write_text(facts.read_text().replace('"disc"', '"</script><b>disc"'))
    text = write_samples_page(folder, tmp_path / "figures").read_text()
    assert "</script><b>" not in text
    assert "a<b>" not in text


def test_missing_samples_are_one_clear_sentence(make_experiment: MakeExperiment, tmp_path: Path) -> None:
    folder = make_experiment()
    (folder / "samples.h5").unlink()
    with pytest.raises(UserError, match=r"samples\.h5 is missing.*run `ib samples other`"):
        write_samples_page(folder, tmp_path / "figures")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed, so no browser can open the page")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield opened
        opened.close()


def test_slider_layer_image_and_task_change_the_picture(written: Path, browser) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(written.as_uri())

    def shown(state: str) -> dict[str, str]:
        page.wait_for_function("state => document.documentElement.dataset.shown === state", arg=state)
        return page.evaluate(
            """() => ({sample: document.querySelector('#samples canvas').toDataURL(),
                       original: document.querySelector('#original').toDataURL(),
                       bits: document.querySelector('#bits').innerText})"""
        )

    last = shown("classification_float32_seed0/h1/100/0")
    assert page.locator("#samples canvas").count() == 4
    assert "108.4" in last["bits"]
    page.locator("#epoch").focus()
    page.keyboard.press("Home")  # the slider is moved by keys alone
    first = shown("classification_float32_seed0/h1/0/0")
    assert first["sample"] != last["sample"]
    assert first["original"] == last["original"]
    assert first["bits"] != last["bits"]
    page.keyboard.press("End")
    assert shown("classification_float32_seed0/h1/100/0") == last

    page.locator("#layer label").nth(3).click()
    deep = shown("classification_float32_seed0/h4/100/0")
    assert deep["sample"] != last["sample"]
    assert not page.locator("#warning").is_visible()
    page.locator("#epoch").fill("1")
    shown("classification_float32_seed0/h4/1/0")
    assert page.locator("#warning").is_visible()  # this cell has a warning, and it is explained
    assert "validation" in page.locator("#warning").inner_text().lower()

    page.locator("#image label").nth(2).click()
    other = shown("classification_float32_seed0/h4/1/2")
    assert other["original"] != last["original"]
    assert not page.locator("#reconstruction-figure").is_visible()
    page.locator("#run label").nth(1).click()
    shown("autoencoding_float32_seed0/h4/1/2")
    assert page.locator("#reconstruction-figure").is_visible()

    assert errors == []
    assert {request.partition(":")[0] for request in requests} <= {"file", "data"}
    assert [request for request in requests if request.startswith("file:")] == [written.as_uri()]
    page.close()


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_sticks_out_sideways(written: Path, browser, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(written.as_uri())
    page.wait_for_function("document.documentElement.dataset.shown")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
