// An attack, watched.
import { Refused, events } from "./api.js";
import { Chart } from "./chart.js";

const course = document.getElementById("course");
const charts = document.getElementById("charts");
const counter = document.getElementById("step");
const bar = document.getElementById("progress");

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** Runs an attack and shows its course; resolves to its answer. */
export async function watch(query, image, signal) {
  const loss = new Chart("Loss");
  const margin = new Chart("Margin (fooled from 0 on)", { mark: 0 });
  const confidence = new Chart("Confidence in the class", { write: percent, ticks: (share) => `${100 * share} %`, range: [0, 1] });
  charts.replaceChildren(loss.element, margin.element, confidence.element);
  counter.textContent = "Waiting for its turn";
  bar.removeAttribute("value");
  course.hidden = false;
  course.scrollIntoView({ block: "nearest" });
  const steps = new Steps();
  for await (const { event, data } of events(`attack?${query}`, { method: "POST", body: image, signal })) {
    if (event === "accepted") counter.textContent = `Accepted: ${data.cost} questions to the model at most`;
    if (event === "result") {
      bar.value = bar.max;
      counter.textContent = `Steps taken: ${data.tried.steps}`;
      for (const chart of [loss, margin, confidence]) chart.paint();
      return data;
    }
    if (event === "error") throw new Refused(data.error.message, data.error.field);
    if (event !== "progress") continue;
    const step = steps.of(data);
    bar.max = Math.max(1, data.steps * data.restarts);
    bar.value = Math.min(bar.max, (Math.max(1, data.restart) - 1) * data.steps + data.step);
    const restart = data.restarts > 1 ? `, restart ${Math.max(1, data.restart)} of ${data.restarts}` : "";
    const fooled = data.remaining === 0 && data.restart > 0 ? "Fooled at step" : "Step";
    counter.textContent = `${fooled} ${data.step} of ${data.steps}${restart}`;
    loss.add(step, data.best_loss);
    margin.add(step, data.margin);
    confidence.add(step, data.confidence);
  }
  throw new Refused("The connection ended before the attack did: try again.");
}

/** Counts steps over restarts, some of which may pass unseen, and goes on counting where the next of several attacks begins. */
class Steps {
  before = 0;
  last = 0;

  of({ step, steps, restart }) {
    const taken = Math.max(0, restart - 1) * steps + step;
    if (taken < this.last) this.before += this.last;
    this.last = taken;
    return this.before + taken;
  }
}
