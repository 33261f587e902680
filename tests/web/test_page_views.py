"""The page's views in Chromium: they fit, can be read and used by keyboard, and show names as text."""

from __future__ import annotations

import shutil
import subprocess
import tarfile

import pytest
from web.browser import chromium, faults, free_port, look, need_browser, until

VIEWS = ("record", "check", "train", "try", "results", "export")
HOSTILE = "<img src=x onerror=alert(1)>"

CONTRAST = """
const lum = (c) => { const v = c.map((x) => (x /= 255) <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
  return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number);
  const [r, g, b, a = 1] = n; return text.startsWith("color(") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a]; };
const behind = (el) => { const layers = [];
  for (let one = el; one; one = one.parentElement) { const c = parse(getComputedStyle(one).backgroundColor);
    if (c[3] > 0) layers.push(c); if (c[3] === 1) break; }
  return layers.reverse().reduce((base, c) => base.map((x, i) => x * (1 - c[3]) + c[i] * c[3]), [255, 255, 255]); };
const found = [];
for (const el of document.querySelectorAll("body *")) {
  const own = [...el.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !el.checkVisibility({checkOpacity: true})) continue;
  if (el.closest(".stage, .unseen, .skip, :disabled, svg")) continue;
  const [a, b] = [lum(parse(getComputedStyle(el).color).slice(0, 3)), lum(behind(el))];
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) found.push(`${el.tagName} ${el.className} "${el.textContent.slice(0, 30)}" ${ratio.toFixed(2)}`);
}
return found;
"""
SMALL = """
return [...document.querySelectorAll("button, select, input, nav a")].filter((el) => el.checkVisibility() &&
  !el.closest(".inline, .unseen, p, .report") && !el.matches("[type=checkbox], [type=range], .title"))
  .map((el) => [el, el.getBoundingClientRect()]).filter(([, box]) => box.height < arguments[0] - .5)
  .map(([el, box]) => `${el.id || el.className} ${el.textContent.slice(0, 20)} ${box.height}`);
"""
NAMELESS = """
return [...document.querySelectorAll("button, a, select, input, img, canvas, video")]
  .filter((el) => el.checkVisibility() && !el.textContent.trim() && !el.getAttribute("aria-label"))
  .filter((el) => !el.hasAttribute("alt") && !el.labels?.length
  && !el.closest("[aria-hidden]") && !el.title).map((el) => el.outerHTML.slice(0, 80));
"""
TOO_WIDE = """
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= width) return [];
return [...document.querySelectorAll("body *")].filter((el) => el.getBoundingClientRect().right > width + .5)
  .map((el) => `${el.tagName}.${el.className} "${el.textContent.slice(0, 30)}"`);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """(driver, staged application, address): a folder with a hostile gesture, a model, a running training, results."""
    need_browser()
    import numpy as np
    from web.staged import model, record, staged, training

    root = tmp_path_factory.mktemp("studio") / "my_gestures"
    with staged(root, free_port()) as (app, address), chromium() as driver:
        rng = np.random.default_rng(0)
        for label, name in (("wave", "wave"), ("salute", "salute"), ("hostile", HOSTILE)):
            app.studio.labels.put(label, name)
            still = rng.integers(0, 40, (48, 64, 3), np.uint8)  # dark, and nothing moves: two findings
            record(app.studio, name, HOSTILE if label == "hostile" else "anna", [still] * 12)
        app.models, app.jobs = [model(app.studio), *app.models], [training()]
        driver.get(address)
        until(lambda: driver.find_elements("css selector", "nav a"), said="the page is drawn")
        yield driver, app, address


def shown(driver, view):
    driver.execute_script("location.hash = arguments[0]", view)
    until(
        lambda: driver.execute_script("return document.getElementById('main').dataset.view") == view.split("/")[0],
        said=view,
    )
    until(lambda: driver.find_elements("css selector", "main h1, main h2"), said=f"{view} is drawn")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_fits_and_can_be_read(page, theme):
    driver, _, _ = page
    for view in VIEWS:
        shown(driver, view)
        for width, target in ((1280, 36), (320, 44)):
            look(driver, width, theme)
            assert driver.execute_script(TOO_WIDE) == [], (view, width)
            assert driver.execute_script(SMALL, target) == [], (view, width)
        assert driver.execute_script(CONTRAST) == [], (view, theme)
        assert driver.execute_script(NAMELESS) == [], view
    assert faults(driver) == []


def test_names_are_text_and_the_token_leaves_the_address(page):
    driver, _, _ = page
    look(driver, 1280, "light")
    shown(driver, "record")
    assert driver.execute_script("return [...document.querySelectorAll('.group h3')].map((e) => e.textContent)").count(
        HOSTILE
    )
    assert driver.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    assert "token" not in driver.current_url
    card = until(lambda: driver.find_elements("css selector", ".clip"), said="clips")[-1]
    assert "warning: " in card.get_attribute("textContent")


def test_a_model_that_cannot_be_tried_says_why_and_what_to_do(page):
    driver, _, _ = page
    look(driver, 390, "light")
    shown(driver, "try/everyday")
    until(lambda: driver.find_elements("id", "look-again"), said="another look is offered")
    lacks = driver.find_element("id", "lacks")
    assert "gesta fetch trackers" in lacks.text and lacks.location["y"] < 400
    assert not driver.find_elements("id", "camera")
    shown(driver, "try/demo")
    until(lambda: driver.find_elements("id", "camera"), said="the other model has a camera")
    assert driver.find_element("id", "lacks").text == "The camera is off."


@pytest.mark.integration
def test_keys_open_the_list_choose_a_gesture_and_rest_while_typing(page):
    from selenium.webdriver.common.keys import Keys

    driver, _, _ = page
    look(driver, 1280, "light")
    shown(driver, "record")
    body = driver.find_element("css selector", "body")
    body.send_keys("?")
    until(lambda: driver.find_elements("css selector", "dialog[open]"), said="the list of keys")
    body.send_keys(Keys.ESCAPE)
    until(lambda: not driver.find_elements("css selector", "dialog[open]"), said="the list closes")
    body.send_keys("2")
    chosen = "return document.querySelector('.gestures [aria-pressed=true] span').textContent"
    assert driver.execute_script(chosen) == "salute"
    driver.find_element("css selector", "input[data-key=person]").send_keys("1?")
    assert driver.execute_script(chosen) == "salute"
    assert not driver.find_elements("css selector", "dialog[open]")


@pytest.mark.integration
def test_a_finding_is_kept_and_a_clip_is_deleted_and_brought_back(page):
    driver, app, _ = page
    shown(driver, "check")
    press = "document.querySelector(arguments[0]).click()"
    before = app.studio.state().counts.findings
    until(lambda: driver.find_elements("css selector", "[data-key=keep]"), said="a finding of a clip")
    driver.execute_script(press, "[data-key=keep]")
    until(lambda: app.studio.state().counts.findings == before - 1, said="one finding less")
    shown(driver, "record")
    until(lambda: driver.find_elements("css selector", ".clip"), said="clips")
    driver.execute_script(press, ".clip")
    driver.execute_script(press, ".clip-bar .danger")
    until(lambda: app.studio.state().counts.clips == 2, said="a clip less")
    until(lambda: driver.find_elements("css selector", "#toast button"), said="Undo")
    driver.execute_script(press, "#toast button")
    until(lambda: app.studio.state().counts.clips == 3, said="it is back")


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The script of axe-core, from npm's registry; skips where there is no npm, or no way there."""
    folder = tmp_path_factory.mktemp("axe")
    if shutil.which("npm") is None:
        pytest.skip("no npm is installed, for axe-core")
    asked = ["npm", "pack", "--silent", "axe-core@4"]
    packed = subprocess.run(asked, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if packed.returncode:
        pytest.skip(f"npm gives no axe-core: {packed.stderr.strip()[-200:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


@pytest.mark.slow
def test_axe_finds_nothing(page, axe):
    driver, _, _ = page
    driver.execute_script(axe)
    complaints = []
    for view in VIEWS:
        shown(driver, view)
        for width, theme in ((1280, "light"), (390, "dark")):
            look(driver, width, theme)
            found = driver.execute_async_script("axe.run().then((all) => arguments[0](all.violations))")
            complaints += [(view, width, one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found]
    assert complaints == []
