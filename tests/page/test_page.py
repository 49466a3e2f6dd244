"""The server's page in headless Chromium.

    pip install playwright        # and Chromium: playwright install chromium, or the system's
    BUCKLER_SERVER=http://127.0.0.1:8080 BUCKLER_BROWSER=/usr/bin/chromium python tests/page/test_page.py [-k NAME] [--pictures DIR]

The server at BUCKLER_SERVER has to serve at least one model for 28 x 28 grey images that can be attacked. Every test opens
the page anew and fails on a script error, a violation of the page's policy or a request to elsewhere.
"""
import argparse
import json
import os
import re
import shutil
import sys
import traceback
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

SERVER = os.environ.get("BUCKLER_SERVER", "http://127.0.0.1:8080").rstrip("/") + "/"
BROWSER = os.environ.get("BUCKLER_BROWSER") or shutil.which("chromium")
WAIT = 60_000
MARKUP = "<img src=x onerror='window.harmed=1'>"


def choose_sample(page, digit=3):
    page.get_by_role("button", name=f"A drawn {digit}").click()
    expect(page.locator("#prediction li")).to_have_count(10, timeout=WAIT)


def attack(page):
    page.get_by_role("button", name="Attack", exact=True).click()
    expect(page.locator("#status")).to_contain_text("Done.", timeout=WAIT)


def answer(page):
    return json.loads(page.locator("#json").text_content())


def more(page):
    page.get_by_text("More settings").click()


def endless(page):
    """An attack that takes as long as it may: the margin is searched within next to nothing."""
    page.locator("[name=eps]").fill("0.0001")
    more(page)
    page.locator("[name=steps]").fill("1000")
    page.locator("[name=restarts]").fill("15")


def steps_in(chart):
    """The last step that a chart shows: of steps that come too fast, the server sends the latest alone."""
    name = chart.get_attribute("aria-label")
    return int(re.fullmatch(r".+: from \S+( %)? to \S+( %)? in (\d+) steps", name).group(3))


def a_sample_shows_its_classes(page):
    choose_sample(page, 3)
    shares = [float(text.split()[0]) for text in page.locator("#prediction .share").all_text_contents()]
    assert shares == sorted(shares, reverse=True) and 99 < sum(shares) < 101, shares
    assert "28 × 28" in page.locator("#drop-text").text_content()
    assert "28 × 28, grey" in page.locator("#model-text").text_content(), "a model of the image's size is chosen"


def a_chosen_file_shows_its_classes(page):
    sample = Path(__file__).parents[2] / "server/src/page/samples/7.png"
    page.locator("#file").set_input_files(sample)
    expect(page.locator("#prediction li")).to_have_count(10, timeout=WAIT)
    assert "7.png" in page.locator("#drop-text").text_content()


def an_attack_is_watched_to_its_result(page):
    choose_sample(page)
    page.locator("[name=eps]").fill("120/255")
    attack(page)
    found = answer(page)
    assert found["outcome"] == "adversarial_found" and found["eps"] == "120/255", found
    assert page.locator("#verdict").text_content() == f"Fooled: {found['clean']['name']} becomes {found['adversarial']['prediction']['name']}"
    assert page.locator("#pictures figure").count() == 3
    assert page.evaluate("document.querySelector('#pictures canvas').width") == 28
    assert "× 2.125, so that eps fills the range" in page.locator("#pictures").text_content()
    curl = page.locator("#curl").text_content()
    assert "eps=120/255" in curl and "--data-binary '@3.png'" in curl and "assets/samples/3.png" in curl, curl
    asked = re.search(r"'(\S+/attack\?\S+)'", curl).group(1)
    sample = page.request.get(f"{SERVER}assets/samples/3.png").body()
    again = page.request.post(asked, data=sample, headers={"content-type": "image/png"}).json()
    for one in (found, again):
        del one["seconds"]
    assert again == found, "the command does the same"


def the_course_is_drawn_step_by_step(page):
    choose_sample(page)
    page.locator("[name=eps]").fill("1/255")
    more(page)
    page.locator("[name=steps]").fill("300")
    attack(page)
    assert answer(page)["outcome"] == "not_found"
    for label in page.locator("#charts svg").all():
        assert 250 < steps_in(label) <= 300
    assert page.locator("#step").text_content() == "Steps taken: 300"
    points = page.locator("#charts polyline").first.get_attribute("points").split()
    assert len(points) > 10, points


def an_attack_can_be_cancelled(page):
    choose_sample(page)
    endless(page)
    page.get_by_role("button", name="Attack", exact=True).click()
    expect(page.locator("#step")).to_contain_text("restart", timeout=WAIT)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_have_text("Cancelled.")
    expect(page.locator("#cancel")).to_be_hidden()
    expect(page.locator("#result")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "attack-now", "the focus is not lost"
    page.locator("[name=steps]").fill("5")
    page.locator("[name=restarts]").fill("1")
    attack(page)


def the_smallest_radius_of_each_model_is_shown(page):
    choose_sample(page)
    page.get_by_role("button", name="Smallest epsilon").click()
    expect(page.locator("#status")).to_contain_text("Done.", timeout=WAIT)
    models = page.request.get(f"{SERVER}models").json()["models"]
    attackable = [model["name"] for model in models if model.get("attackable")]
    rows = page.locator("#models li").all()
    assert sorted(row.locator("b").text_content() for row in rows) == attackable
    for row in rows:
        text = row.text_content()
        assert re.search(r"[\d.]+ grey levels|more than|without any attack|0", text), text
        width = row.locator(".track span").evaluate("span => span.getBoundingClientRect().width / span.parentElement.getBoundingClientRect().width")
        assert 0 <= width <= 1.001
        found = re.search(r"\)?([\d.]+) grey levels", row.locator(".value").text_content())
        if found and "more" not in row.locator(".value").text_content():
            assert abs(width - float(found.group(1)) / 128) < 0.01, (width, text)


def models_that_do_not_take_an_image_are_named(page):
    colour = page.evaluate("""async () => {
        const canvas = new OffscreenCanvas(28, 28);
        const context = canvas.getContext("2d");
        context.fillStyle = "teal";
        context.fillRect(0, 0, 28, 14);
        return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
    }""")
    page.locator("#file").set_input_files({"name": "teal.png", "mimeType": "image/png", "buffer": bytes(colour)})
    expect(page.locator("#preview")).to_be_visible()
    page.get_by_role("button", name="Smallest epsilon").click()
    expect(page.locator("#status")).to_contain_text("Done.", timeout=WAIT)
    models = page.request.get(f"{SERVER}models").json()["models"]
    for model in models:
        if model.get("attackable"):
            takes = model["input"]["channels"] == 3
            assert page.locator("#models b", has_text=model["name"]).count() == takes
            assert (model["name"] in page.locator("#comparison-text").text_content()) != takes


def the_document_can_be_read(page):
    page.get_by_role("link", name="API").click()
    expect(page.get_by_text("/predict", exact=True).first).to_be_visible(timeout=WAIT)
    page.get_by_text("/attack", exact=True).first.click()
    expect(page.get_by_text("attack-found").first).to_be_attached(timeout=WAIT)


def a_long_course_leaves_the_page_responsive(page):
    choose_sample(page)
    endless(page)
    attack(page)
    assert answer(page)["tried"] == {"steps": 15000, "restarts": 15}
    for line in page.locator("#charts polyline").all():
        assert 100 < len(line.get_attribute("points").split()) <= 500
    for label in page.locator("#charts svg").all():
        assert 14_000 < steps_in(label) <= 15_000


def only_the_fields_that_an_attack_takes_are_shown(page):
    attacks = page.request.get(f"{SERVER}attacks").json()["attacks"]
    more(page)
    options = page.locator("[name=attack] option").evaluate_all("options => options.map((option) => option.value)")
    assert options == [one["name"] for one in attacks]
    for one in attacks:
        page.locator("[name=attack]").select_option(one["name"])
        for field in ("steps", "step_size", "restarts", "objective"):
            assert page.locator(f"[name={field}]").is_visible() == (field in one["settings"]), (one, field)
        assert page.locator("#variant-list").is_visible() == ("variants" in one["settings"])
        enabled = page.locator("[name=norm]:enabled").evaluate_all("radios => radios.map((radio) => radio.value)")
        assert sorted(enabled) == sorted(one["norms"])


def the_slider_and_the_radius_agree(page):
    choose_sample(page)
    page.locator("#eps-range").fill("77")
    assert page.locator("[name=eps]").input_value() == "77/255"
    page.locator("[name=eps]").fill("0.2")
    assert page.locator("#eps-range").input_value() == "51" and "51 of 255 grey levels" in page.locator("#eps-text").text_content()
    page.locator("#norms").get_by_text("l2").click()
    assert page.locator("[name=eps]").input_value() == "128/255"
    page.locator("#eps-range").fill("3.5")
    attack(page)
    assert answer(page)["norm"] == "l2" and answer(page)["eps"] == "3.5"


def the_keyboard_alone_suffices(page):
    def tab_to(name):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent + document.activeElement.getAttribute('name') + (document.activeElement.firstChild?.alt ?? '')").find(name) >= 0:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth")
                assert outline == "solid3px", outline
                return
        raise AssertionError(f"no way to {name} by the keyboard")

    tab_to("A drawn 5")
    page.keyboard.press("Enter")
    expect(page.locator("#prediction li")).to_have_count(10, timeout=WAIT)
    tab_to("eps")
    page.keyboard.press("Control+A")
    page.keyboard.type("100/255")
    tab_to("Attack")
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_contain_text("Done.", timeout=WAIT)
    assert answer(page)["eps"] == "100/255"


def errors_are_shown_as_text(page):
    page.get_by_role("button", name="Attack", exact=True).click()
    expect(page.locator("#error")).to_contain_text("no image yet")
    choose_sample(page)
    page.locator("[name=eps]").fill(MARKUP)
    page.get_by_role("button", name="Attack", exact=True).click()
    expect(page.locator("#error")).to_contain_text(MARKUP)
    assert page.locator("[name=eps]").get_attribute("aria-invalid") == "true"
    assert page.locator("#error *").count() == 0 and page.evaluate("window.harmed") is None
    page.locator("#file").set_input_files({"name": f"{MARKUP}.png", "mimeType": "image/png", "buffer": b"no image"})
    expect(page.locator("#error")).to_contain_text("no image in a known format")
    assert MARKUP in page.locator("#drop-text").text_content() and page.evaluate("window.harmed") is None


def a_key_is_asked_for_and_sent(page):
    sent = []

    def guarded(route):
        sent.append(route.request.headers.get("authorization"))
        if sent[-1] == "Bearer right":
            return route.continue_()
        body = json.dumps({"error": {"code": "unauthorized", "message": f"no such key {MARKUP}"}})
        return route.fulfill(status=401, content_type="application/json", body=body)

    page.route("**/predict?*", guarded)
    page.get_by_role("button", name="A drawn 3").click()
    for key in ("wrong", "right"):
        expect(page.locator("#key-message")).to_have_text(f"no such key {MARKUP}")
        expect(page.locator("#key-text")).to_be_focused()
        page.keyboard.type(key)
        page.keyboard.press("Enter")
    expect(page.locator("#prediction li")).to_have_count(10, timeout=WAIT)
    expect(page.locator("#key")).to_be_hidden()
    assert sent == [None, "Bearer wrong", "Bearer right"], sent
    attack(page)
    assert "Bearer $BUCKLER_KEY" in page.locator("#curl").text_content() and "right" not in page.locator("#curl").text_content()


def nothing_is_cut_off_on_a_phone(page):
    page.set_viewport_size({"width": 420, "height": 900})
    choose_sample(page)
    page.locator("[name=eps]").fill("100/255")
    attack(page)
    page.get_by_role("button", name="Smallest epsilon").click()
    expect(page.locator("#status")).to_contain_text("Done.", timeout=WAIT)
    for text in ("More settings", "The same with curl", "The answer as JSON"):
        page.get_by_text(text).click()
    wide = page.evaluate("[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 420 and not wide, wide


def dark_and_light_are_readable(page):
    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    backs = set()
    choose_sample(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        back = page.locator("section.card").first.evaluate("e => getComputedStyle(e).backgroundColor")
        backs.add(back)
        for selector in ("h1", ".hint", "label", "#prediction .share", "summary"):
            ink = page.locator(selector).first.evaluate("e => getComputedStyle(e).color")
            high, low = sorted((luminance(ink), luminance(back)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, f"{scheme} {selector}: {ink} on {back}"
    assert len(backs) == 2


TESTS = [
    a_sample_shows_its_classes,
    a_chosen_file_shows_its_classes,
    an_attack_is_watched_to_its_result,
    the_course_is_drawn_step_by_step,
    an_attack_can_be_cancelled,
    the_smallest_radius_of_each_model_is_shown,
    models_that_do_not_take_an_image_are_named,
    the_document_can_be_read,
    a_long_course_leaves_the_page_responsive,
    only_the_fields_that_an_attack_takes_are_shown,
    the_slider_and_the_radius_agree,
    the_keyboard_alone_suffices,
    errors_are_shown_as_text,
    a_key_is_asked_for_and_sent,
    nothing_is_cut_off_on_a_phone,
    dark_and_light_are_readable,
]
#: What the browser writes to its console when a server refuses, which these tests make it do.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


def run(browser, test, pictures):
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    complaints, elsewhere = [], []
    page.on("console", lambda line: line.type in ("error", "warning") and not REFUSED.match(line.text) and complaints.append(line.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith((SERVER, "data:", "blob:" + SERVER)) or elsewhere.append(request.url))
    page.goto(SERVER)
    expect(page.locator("[name=model] option").first).to_be_attached(timeout=WAIT)
    try:
        test(page)
        assert not complaints and not elsewhere, (complaints, elsewhere)
    finally:
        if pictures:
            page.screenshot(path=pictures / f"{test.__name__}.png", full_page=True)
        context.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="", help="only tests whose name contains this")
    parser.add_argument("--pictures", type=Path, help="write a picture of the page after each test here")
    args = parser.parse_args()
    failed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        for test in TESTS:
            if args.k not in test.__name__:
                continue
            try:
                run(browser, test, args.pictures)
                print(f"ok: {test.__name__}", flush=True)
            except Exception:
                failed += 1
                traceback.print_exc()
                print(f"FAILED: {test.__name__}", flush=True)
        browser.close()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
