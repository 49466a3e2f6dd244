// What came of it: bars, pictures, words, JSON and the command.
import { hasKey } from "./api.js";
import { difference, picture } from "./image.js";

const at = (id) => document.getElementById(id);

function element(name, text, className = "") {
  return Object.assign(document.createElement(name), { textContent: text, className });
}

const count = (number, one, several = `${one}s`) => `${number} ${number === 1 ? one : several}`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;
export const short = (value) => Number(value.toPrecision(4)).toString();

/** A distance in words. */
export const distance = (norm, value) => (norm === "linf" ? `${short(255 * value)} grey levels` : short(value));

/** The classes with their probabilities, into a list. */
export function bars(list, { top }) {
  list.replaceChildren(
    ...top.map(({ name, probability }) => {
      const line = element("li", "");
      const label = element("span", name, "name");
      label.title = name;
      const track = element("span", "", "track");
      const fill = element("span", "");
      fill.style.width = `${100 * probability}%`;
      track.append(fill);
      line.append(label, track, element("span", percent(probability), "share"));
      return line;
    }),
  );
}

/** The report of one attack on one image, with its verdict as the answer; `image` is what was sent. */
export async function report(answer, query, image) {
  at("verdict").textContent = verdict(answer);
  at("note").textContent = answer.note;
  await pictures(answer);
  facts(answer);
  at("json").textContent = JSON.stringify(answer, null, 2);
  at("curl").textContent = command(query, image);
  at("result").hidden = false;
  at("result").scrollIntoView({ block: "nearest" });
  return at("verdict").textContent;
}

function verdict({ outcome, clean, adversarial, eps, norm, label, label_source: source }) {
  switch (outcome) {
    case "adversarial_found":
      return `Fooled: ${clean.name} becomes ${adversarial.prediction.name}`;
    case "not_found":
      return `Still ${clean.name}: nothing found within ${norm} ${eps}`;
    case "misclassified_clean":
      return source === "given" && clean.class !== label ? `Wrong without any attack: ${clean.name}` : `${clean.name} without any attack`;
    default:
      return "Stopped before it was done";
  }
}

async function pictures({ clean_png: before, adversarial_png: after, clean, adversarial, norm, eps_value: eps }) {
  const first = await picture(before, "The clean image");
  const shown = [figure("Clean", first, clean)];
  if (after) {
    const second = await picture(after, "The adversarial image");
    const change = difference(first, second, norm === "linf" ? eps : undefined);
    shown.push(figure("Adversarial", second, adversarial.prediction, "fooled"));
    const what = norm === "linf" ? "eps" : "the largest change";
    const colours = change.grey ? "red is brighter, blue is darker" : "grey is unchanged, brighter is more";
    const caption = `× ${short(change.times)}, so that ${what} fills the range: ${colours}.`;
    change.canvas.setAttribute("role", "img");
    change.canvas.setAttribute("aria-label", "The perturbation, amplified");
    const third = figure("Perturbation", change.canvas);
    third.append(element("figcaption", caption));
    shown.push(third);
  }
  at("pictures").replaceChildren(...shown);
}

function figure(title, shown, prediction, className = "") {
  const figure = document.createElement("figure");
  figure.append(element("h3", title), shown);
  if (prediction) {
    const list = element("ol", "", `bars ${className}`);
    bars(list, { top: prediction.top.slice(0, 3) });
    figure.append(list);
  }
  return figure;
}

function facts(answer) {
  const { adversarial, png, tried } = answer;
  const settings = [answer.attack, answer.norm, `eps ${answer.eps}`, count(answer.steps, "step"), count(answer.restarts, "restart")];
  if (answer.objective) settings.push(answer.objective);
  const lines = [
    ["Attack", [...settings, `seed ${answer.seed}`].join(", ")],
    ["Model", `${answer.model}, version ${answer.version}, SHA-256 ${answer.sha256.slice(0, 12)}…`],
  ];
  if (adversarial) {
    const { linf_255: linf, l2, l1, l0 } = adversarial;
    lines.push(["Distance", `linf ${short(linf)} grey levels, l2 ${short(l2)}, l1 ${short(l1)}; ${l0} values changed`]);
  }
  if (png) lines.push(["As a PNG", `${png.still_adversarial ? "still fools" : "no longer fools"} the model, ${png.within_eps ? "within eps" : "slightly beyond eps"}`]);
  const { gradient_evaluations: gradients, forward_evaluations: forwards, seconds } = answer;
  lines.push(["Effort", `${count(tried.steps, "step")}, ${count(tried.restarts, "restart")}; ${count(gradients, "gradient")} and ${count(forwards, "forward pass", "forward passes")} in ${seconds.toFixed(2)} s`]);
  if (answer.assumptions.length) lines.push(["Taken for granted", answer.assumptions.join("; ")]);
  at("facts").replaceChildren(...lines.flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
}

const quoted = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** What does the same from a shell. */
function command(query, { name, sample }) {
  const lines = [`curl ${quoted(new URL(`attack?${query}`, location.href).href)}`];
  if (hasKey()) lines.push('-H "Authorization: Bearer $BUCKLER_KEY"');
  lines.push(`--data-binary ${quoted(`@${name}`)}`);
  const fetched = sample ? `curl -o ${quoted(name)} ${quoted(new URL(sample, location.href).href)}\n` : "";
  return fetched + lines.join(" \\\n  ");
}

/** Buttons that copy a text. */
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = at(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      // Without a secure context there is no clipboard: what is selected can be copied by hand.
      getSelection().selectAllChildren(source);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}
