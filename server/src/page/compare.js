// The smallest radius that fools each model, one beside the other.
import { ask } from "./api.js";
import { attackable, model, norm, query, widest } from "./form.js";
import { distance, short } from "./report.js";

const section = document.getElementById("comparison");
const words = document.getElementById("comparison-text");
const list = document.getElementById("models");

/** Searches on every model that can be attacked so. A model that refuses the image says why. */
export async function compare(image, signal) {
  const [limit, attacked] = [widest(), attackable()];
  words.textContent = `Searched downwards from ${norm()} ${limit}. Hatched: nothing was found within that. Orange: without hypersphere embedding.`;
  section.hidden = false;
  section.scrollIntoView({ block: "nearest" });
  const rows = attacked.map((one) => new Row(one));
  list.replaceChildren(...rows.map(({ element }) => element));
  const without = [];
  const classes = JSON.stringify(model()?.classes);
  const searches = rows.map(async (row) => {
    const changes = { model: row.model.name, eps: limit, min_eps: true };
    const asked = new URLSearchParams(query(changes));
    if (JSON.stringify(row.model.classes) !== classes) ["label", "target"].forEach((name) => asked.delete(name));
    try {
      row.show(await ask(`attack?${asked}`, { method: "POST", body: image, signal }));
    } catch (error) {
      if (error.name === "AbortError") row.say("cancelled");
      else if (error.field === "image") without.push(row.remove());
      else row.say(error.message, "error");
    }
  });
  await Promise.all(searches);
  if (without.length) words.textContent += ` Without those that do not take this image: ${without.join(", ")}.`;
}

class Row {
  constructor(model) {
    this.model = model;
    this.element = document.createElement("li");
    const name = Object.assign(document.createElement("b"), { textContent: model.name });
    const how = Object.assign(document.createElement("span"), { className: "hint", textContent: training(model.card) });
    this.value = Object.assign(document.createElement("span"), { className: "value", textContent: "searching …" });
    const line = Object.assign(document.createElement("div"), { className: "between" });
    const title = document.createElement("span");
    title.append(name, " ", how);
    line.append(title, this.value);
    this.track = Object.assign(document.createElement("span"), { className: "track" });
    this.fill = document.createElement("span");
    this.fill.style.width = "0";
    this.track.append(this.fill);
    this.text = Object.assign(document.createElement("span"), { className: "hint" });
    this.element.append(line, this.track, this.text);
    this.element.classList.toggle("plain", model.card?.head?.kind !== "hypersphere");
  }

  show({ outcome, min_eps: found, eps_value: limit, norm, clean, adversarial }) {
    const says = `says ${clean.name} (${(100 * clean.probability).toFixed(0)} %)`;
    if (outcome === "misclassified_clean") {
      this.value.textContent = "0";
      this.text.textContent = `${says}: wrong without any attack`;
    } else if (found) {
      this.fill.style.width = `${(100 * found.value) / limit}%`;
      this.value.textContent = `${found.complete ? "" : "at most "}${distance(norm, found.value)}`;
      this.text.textContent = `${says}, and ${adversarial.prediction.name} at eps ${short(found.value)}`;
    } else {
      this.element.classList.add("beyond");
      this.fill.style.width = "100%";
      this.value.textContent = outcome === "incomplete" ? "stopped early" : `more than ${distance(norm, limit)}`;
      this.text.textContent = says;
    }
  }

  remove() {
    this.element.remove();
    return this.model.name;
  }

  say(text, className = "hint") {
    this.value.textContent = "";
    this.text.textContent = text;
    this.text.className = className;
  }
}

/** How a model was made, as far as its card says. */
function training(card) {
  const { head, training } = card ?? {};
  const kind = head && (head.kind === "hypersphere" ? "hypersphere embedding" : `${head.kind} head`);
  const how = training && (training.eps ? `${training.framework} at ${training.norm} ${training.eps}` : training.framework);
  return [kind, how].filter(Boolean).join(", ");
}
