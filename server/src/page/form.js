// The form: what the server offers, and what was asked for. Lists, settings and defaults are the server's.
import { ask } from "./api.js";

const form = document.getElementById("form");
const fields = form.elements;
const range = document.getElementById("eps-range");
const rangeText = document.getElementById("eps-text");
const variants = document.getElementById("variant-list");
const modelText = document.getElementById("model-text");
const SETTINGS = ["steps", "step_size", "restarts", "objective", "variants"];

let offer;
let models = [];
let chosenByHand = false;

/** Asks for models and attacks; `changed` is called when another model is chosen. */
export async function fill(changed) {
  const [listed, attacks] = await Promise.all([ask("models"), ask("attacks")]);
  offer = attacks;
  models = listed.models;
  fields.model.replaceChildren(
    ...models.map(({ name, version, state, attackable }) => {
      const note = state !== "ready" ? " (not ready)" : attackable ? "" : " (without gradients)";
      const option = new Option(`${name} ${version}${note}`, name, name === listed.default, name === listed.default);
      option.disabled = state !== "ready";
      return option;
    }),
  );
  fields.attack.replaceChildren(...offer.attacks.map(({ name, description }) => new Option(`${name}: ${description}`, name)));
  fields.attack.value = "pgd";
  fields.objective.replaceChildren(new Option("as usual", ""), ...offer.objectives.map((name) => new Option(name, name)));
  for (const name of offer.variants) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "variants", value: name });
    const label = document.createElement("label");
    label.append(box, name);
    variants.append(label);
  }
  fields.steps.max = offer.limits.steps;
  fields.restarts.max = offer.limits.restarts;
  fields.model.addEventListener("change", () => {
    chosenByHand = true;
    showModel();
    changed();
  });
  fields.attack.addEventListener("change", showAttack);
  for (const radio of fields.norm) radio.addEventListener("change", showNorm);
  range.addEventListener("input", () => {
    fields.eps.value = norm() === "linf" ? `${range.value}/255` : range.value;
    showEps();
  });
  fields.eps.addEventListener("input", showEps);
  showModel();
  showAttack();
}

export const model = () => models.find(({ name }) => name === fields.model.value);
export const norm = () => fields.norm.value;
const attack = () => offer.attacks.find(({ name }) => name === fields.attack.value);

/** Another model, if that is made for images of this very size and the one at hand is not; whoever chose one keeps it. */
export function suit({ width, height, grey }) {
  const fits = ({ input }) => input?.width === width && input?.height === height && (input.channels === 1) === grey;
  const better = models.find(fits);
  if (chosenByHand || !better || fits(model() ?? {})) return;
  fields.model.value = better.name;
  showModel();
}

/** All models that can be attacked so, those with the classes of the chosen one first. */
export function attackable() {
  const ready = models.filter(({ state, attackable }) => state === "ready" && (attackable || !attack().needs_gradients));
  const classes = (one) => JSON.stringify(one.classes);
  const alike = (one) => classes(one) === classes(model() ?? {});
  return [...ready.filter(alike), ...ready.filter((one) => !alike(one))];
}

/** What was asked for, as a query string. */
export function query(changes = {}) {
  const asked = new URLSearchParams();
  const data = new FormData(form);
  for (const name of ["model", "attack", "norm", "eps", ...SETTINGS, "label", "target", "seed"]) {
    const text = data.getAll(name).join(",").trim();
    if (text && !fields[name].disabled) asked.set(name, text);
  }
  for (const [name, value] of Object.entries(changes)) asked.set(name, value);
  // A slash needs no escape in a query, and `8/255` is easier to read than what it would be.
  return asked.toString().replaceAll("%2F", "/").replaceAll("%2C", ",");
}

/** The largest radius that the slider offers. */
export const widest = () => (norm() === "linf" ? `${range.max}/255` : range.max);

/** Points at what an error is about. */
export function blame(name) {
  for (const field of fields) field.removeAttribute("aria-invalid");
  const field = name && fields[name];
  if (field instanceof Element) field.setAttribute("aria-invalid", "true");
}

function showModel() {
  const { classes = [], card, input, attackable, not_attackable_because: reason } = model() ?? {};
  const seen = new Set();
  const shared = new Set(classes.filter((name) => seen.has(name) || !seen.add(name)));
  const choice = (name, index) => (shared.has(name) ? new Option(`${name} (${index})`, index) : new Option(name, name));
  for (const [name, none] of [["label", "as predicted"], ["target", "any other"]]) {
    const before = fields[name].value;
    fields[name].replaceChildren(new Option(none, ""), ...classes.map(choice));
    fields[name].value = before;
    if (fields[name].selectedIndex < 0) fields[name].value = "";
  }
  const size = input && `${input.width} × ${input.height}, ${input.channels === 1 ? "grey" : "colour"}`;
  const limits = attackable === false ? `No gradients: ${reason}` : "";
  modelText.textContent = [card?.description, size, limits].filter(Boolean).join(". ");
  showRange();
}

function showAttack() {
  const { norms, settings, defaults } = attack();
  for (const radio of fields.norm) {
    radio.disabled = !norms.includes(radio.value);
    if (radio.disabled) radio.checked = false;
  }
  if (!norm()) [...fields.norm].find(({ value }) => value === norms[0]).checked = true;
  for (const name of SETTINGS) {
    const place = name === "variants" ? variants : fields[name].closest("label");
    place.hidden = !settings.includes(name);
    for (const input of place.querySelectorAll("input, select")) input.disabled = place.hidden;
  }
  fields.steps.placeholder = defaults.steps;
  fields.restarts.placeholder = defaults.restarts;
  fields.step_size.placeholder = "2.5 eps / steps";
  fields.objective.options[0].textContent = defaults.objective ?? "as usual";
  showNorm();
}

function showNorm() {
  fields.eps.placeholder = offer.eps[norm()];
  fields.eps.value = offer.eps[norm()];
  showRange();
}

/** A quarter of the box's diameter for the Euclidean norm, a tenth of it for the sum. */
function showRange() {
  const input = model()?.input;
  const values = input ? input.channels * input.height * input.width : 1;
  const [step, max] = { linf: [1, 128], l2: [0.05, Math.ceil(Math.sqrt(values) / 4)], l1: [0.5, Math.ceil(values / 10)] }[norm()] ?? [1, 128];
  Object.assign(range, { min: step, step, max });
  showEps();
}

function showEps() {
  const [top, bottom = 1] = fields.eps.value.split("/").map(Number);
  const value = fields.eps.value.trim() ? top / bottom : NaN;
  const linf = norm() === "linf";
  if (Number.isFinite(value)) range.value = linf ? 255 * value : value;
  const words = linf ? `${Number((255 * value).toFixed(2))} of 255 grey levels` : `distance ${value}`;
  rangeText.textContent = Number.isFinite(value) ? words : "";
  range.setAttribute("aria-valuetext", rangeText.textContent);
}
