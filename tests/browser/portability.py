"""Runs a gradient graph in a browser and compares it with onnxruntime in Python.

    pip install numpy onnxruntime pillow playwright       # and Chromium: playwright install chromium, or the system's
    python tests/browser/portability.py

Serves the repository on a free port of the loopback address, opens examples/browser/ in headless Chromium, and checks that
the page fetches nothing from elsewhere, that its gradients are those of onnxruntime, that two steps of PGD give the same
image and twenty the same outcome, and that the form shows it. ONNX Runtime for the web has to lie in examples/browser/ort; the page says how to put it
there.
"""
import argparse
import functools
import http.server
import re
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "examples"))
from pgd import information, load, pgd, question

TOLERANCE = 1e-4


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve():
    handler = functools.partial(Quiet, directory=ROOT)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def digit(path, text, side):
    picture = Image.new("L", (side, side))
    font = ImageFont.load_default(0.8 * side)
    ImageDraw.Draw(picture).text((side / 2, side / 2), text, fill=255, font=font, anchor="mm")
    picture.save(path)


def check(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")
    print(f"ok: {what}", flush=True)


def error(found, truth):
    truth = np.asarray(truth, np.float64)
    return np.linalg.norm(np.asarray(found, np.float64).reshape(truth.shape) - truth) / np.linalg.norm(truth)


def predicted(session, image):
    (logits,) = session.run([information(session)["logits"]], question(session, image, np.array([0])))
    return int(logits.argmax())


def gradients_agree(page, session, image, name):
    """For other labels than the predicted one: there, one minus a probability of nearly one is mostly rounding."""
    info, label = information(session), predicted(session, image)
    for other in ((label + 1) % 10, (label + 5) % 10):
        logits, loss, gradient = session.run([info["logits"], "loss", "gradient"], question(session, image, np.array([other])))
        found = page.evaluate(
            """async ([image, label]) => {
                const { logits, loss, gradient } = await page.ask(page.model, new Float32Array(image), label);
                return { logits: [...logits], loss, gradient: [...gradient] };
            }""",
            [image.ravel().tolist(), other],
        )
        worst = max(error(found["logits"], logits[0]), error(found["loss"], loss[0]), error(found["gradient"], gradient))
        check(worst < TOLERANCE, f"{name}, label {other}: logits, loss and gradient differ by {worst:.1e} at most")


def attacked(page, image, eps, steps):
    found = page.evaluate(
        """async ([image, eps, steps]) => {
            const found = await page.pgd(page.model, new Float32Array(image), eps, steps);
            return { ...found, clean: [...found.clean], adversarial: [...found.adversarial], logits: [...found.logits] };
        }""",
        [image.ravel().tolist(), eps, steps],
    )
    return found, np.array(found["adversarial"], np.float32).reshape(image.shape)


def short_attacks_agree(page, session, image, name):
    """Two steps, pixel by pixel."""
    _, found = attacked(page, image, 0.05, 2)
    expected, *_ = pgd(session, image, predicted(session, image), 0.05, 2)
    differing = np.mean(np.abs(found - expected) > 1e-6)
    check(differing < 0.01, f"{name}, 2 steps: {differing:.2%} of the pixels differ from those in Python")


def attacks_agree(page, session, image, name, eps):
    """Long attacks by their outcome: one sign of a gradient near zero, and from there on they go different ways."""
    label = predicted(session, image)
    found, adversarial = attacked(page, image, eps, 20)
    _, expected, taken = pgd(session, image, label, eps)
    info = information(session)
    (logits,) = session.run([info["logits"]], question(session, adversarial, np.array([0])))
    check(error(found["logits"], logits[0]) < TOLERANCE, f"{name}, eps {eps}: Python finds the same logits for the page's image")
    check(np.abs(adversarial - image).max() <= eps + 1e-6, f"{name}, eps {eps}: it is within eps")
    check(adversarial.min() >= 0 and adversarial.max() <= 1, f"{name}, eps {eps}: it is in [0, 1]")
    outcome = f"class {label} -> {logits.argmax()} after {found['taken']} steps (Python: {expected.argmax()} after {taken})"
    check(
        found["label"] == label and found["fooled"] == (logits.argmax() != label) == (expected.argmax() != label),
        f"{name}, eps {eps}: {outcome}",
    )
    return found["fooled"]


def form_attacks(page, session, path, eps, verb):
    label = predicted(session, load(path, [1, 1, 28, 28]))
    page.locator("[name=file]").set_input_files(path)
    page.locator("[name=eps]").fill(str(eps))
    page.locator("button").click()
    expect(page.locator("button")).to_be_enabled(timeout=60_000)  # a click disables it until the attack is over
    texts = [page.locator("#status").text_content(), *page.locator("figcaption").all_text_contents()]
    before, after = (int(re.search(r": (\d+) \(", text).group(1)) for text in texts[1:3])
    check(
        texts[0].startswith(verb) and before == label and (after != label) == (verb == "Fooled"),
        f"the form shows: {'; '.join(texts)}",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the executable (default: on PATH, or Playwright's)")
    parser.add_argument("--screenshot", type=Path, help="write a picture of the page here")
    args = parser.parse_args()
    if not (ROOT / "examples/browser/ort/ort.wasm.min.mjs").exists():
        raise SystemExit("examples/browser/ort is missing: the comment on top of examples/browser/index.html says how to get it")

    session = onnxruntime.InferenceSession(ROOT / "models/mnist-he/1/gradient.onnx", providers=["CPUExecutionProvider"])
    server = serve()
    home = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=args.chromium)
        page = browser.new_page(viewport={"width": 900, "height": 760})
        requested, complaints = [], []
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        page.goto(f"{home}examples/browser/")
        expect(page.locator("#status")).not_to_have_text("Loading ...", timeout=60_000)
        check(page.locator("button").is_enabled(), f"the page loads: {page.locator('#status').text_content()}")

        drawn = page.evaluate("() => [...page.sample(page.model)]")
        cases = {"the built-in sample": np.array(drawn, np.float32).reshape(1, 1, 28, 28)}
        for text in "37":
            path = Path(folder) / f"{text}.png"
            digit(path, text, 28)
            cases[f"a printed {text}"] = load(path, [1, 1, 28, 28])
        fooled = set()
        for name, image in cases.items():
            gradients_agree(page, session, image, name)
            short_attacks_agree(page, session, image, name)
            for eps in (0.1, 0.8):
                fooled.add(attacks_agree(page, session, image, name, eps))
        check(fooled == {True, False}, "both outcomes were met")
        form_attacks(page, session, path, 0.1, "Withstands")
        form_attacks(page, session, path, 0.8, "Fooled")
        if args.screenshot:
            page.screenshot(path=args.screenshot)

        page.locator("[name=eps]").fill("much")
        page.locator("button").click()
        expect(page.locator("#status.error")).to_contain_text('epsilon is "much"')
        check(page.locator("button").is_enabled(), "a wrong epsilon is refused, and the page goes on")
        page.goto(f"{home}examples/browser/?model=nowhere")
        expect(page.locator("#status.error")).to_contain_text("nowhere/gradient.onnx: 404")
        check(page.locator("button").is_disabled(), "a missing model is named")
        elsewhere = [url for url in requested if not url.startswith((home, "data:", "blob:" + home))]
        check(not elsewhere and not complaints, f"nothing is fetched from elsewhere, no script fails {elsewhere} {complaints}")
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
