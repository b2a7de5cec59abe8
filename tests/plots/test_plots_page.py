"""The page of samples, opened in a real browser as a file."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
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


def payload(page: Path) -> dict:
    return json.loads(page.read_text().partition('<script type="application/json" id="data">')[2].split("</script>")[0])


def pixels(url: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_of_every_image_and_their_change_since_the_peak(
    make_experiment: MakeExperiment, tmp_path: Path, channels: int
) -> None:
    folder = make_experiment(channels=channels, size=8)
    run = payload(write_samples_page(folder, tmp_path / "figures"))["runs"][0]
    limit = run["maps"]["limit"]
    with h5py.File(folder / "samples.h5") as file:
        maps = file["maps/classification_float32_seed0"]
        for layer, peak in (("h1", 20), ("h4", 5)):  # as information.csv has them
            assert run["maps"]["peaks"][layer] == peak
            now, at_peak = maps[f"epoch_0100/{layer}"][:], maps[f"epoch_{peak:04d}/{layer}"][:]
            cell = run["cells"][f"{layer}/100"]
            wanted = np.stack([now, now - at_peak], 1)  # (n_images, 2, C, H, W)
            np.testing.assert_allclose(cell["map_bits"], wanted.sum((-2, -1)), atol=1e-4)
            picture = pixels(cell["maps"]).reshape(6, 8, 2, 8, 3).swapaxes(1, 2)  # (n_images, 2, H, W, rgb)
            shown = wanted.sum(2)
            more, less = picture[shown > 0.1 * limit], picture[shown < -0.1 * limit]
            assert len(more) > 20
            assert len(less) > 20 or layer == "h1"  # the maps of h1 hardly change
            assert (more[:, 0] > more[:, 2]).all()  # orange: red above blue
            assert (less[:, 0] < less[:, 2]).all()  # purple
            assert (np.ptp(picture[np.abs(shown) < 0.004 * limit], axis=-1) < 12).all()  # white
            at_its_peak = pixels(run["cells"][f"{layer}/{peak}"]["maps"])[:, 8:]
            assert len(np.unique(at_its_peak.reshape(-1, 3), axis=0)) == 1


def test_a_map_that_is_not_finite_is_grey_there_and_no_number(make_experiment: MakeExperiment, tmp_path: Path) -> None:
    folder = make_experiment(size=8)
    with h5py.File(folder / "samples.h5", "a") as file:
        file["maps/classification_float32_seed0/epoch_0100/h1"][0, 0, 3, 4] = np.inf
    cell = payload(write_samples_page(folder, tmp_path / "figures"))["runs"][0]["cells"]["h1/100"]
    assert cell["map_bits"][0] == [[None], [None]]
    assert pixels(cell["maps"])[3, 4].tolist() == [140, 140, 140]
    assert None not in cell["map_bits"][1][0]


def test_samples_without_maps_make_a_page_without_them(make_experiment: MakeExperiment, tmp_path: Path) -> None:
    folder = make_experiment(size=8)
    with h5py.File(folder / "samples.h5", "a") as file:
        del file["maps"]
    run = payload(write_samples_page(folder, tmp_path / "figures"))["runs"][0]
    assert run["maps"] is None
    assert "maps" not in run["cells"]["h1/100"]


@pytest.mark.parametrize(("common", "words"), [(True, "the common one"), (False, "this decoder&#39;s own")])
def test_page_says_which_l0_the_maps_are_taken_from(
    make_experiment: MakeExperiment, tmp_path: Path, common: bool, words: str
) -> None:
    folder = make_experiment(size=8)
    with h5py.File(folder / "samples.h5", "a") as file:
        file.attrs["maps_of_common_null"] = common
    assert f"L0 is {words}" in write_samples_page(folder, tmp_path / "figures").read_text()


ONE_COLOUR = """(name) => {
    const canvas = document.querySelector(name);
    const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return bytes.every((value, index) => value === bytes[index % 4]);
}"""


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
                       map: document.querySelector('#map').toDataURL(),
                       change: document.querySelector('#change').toDataURL(),
                       map_bits: document.querySelector('#map-bits').innerText,
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
    assert first["map"] != last["map"]
    assert first["change"] != last["change"]
    assert first["map_bits"] != last["map_bits"]
    assert page.locator("#peak-now").inner_text() == "20"
    page.locator("#epoch").fill("5")
    peak = shown("classification_float32_seed0/h1/20/0")
    assert "this is the peak" in peak["map_bits"]
    assert page.evaluate(ONE_COLOUR, "#change")  # nothing has changed yet
    assert not page.evaluate(ONE_COLOUR, "#map")
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
    assert other["map"] != deep["map"]
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
