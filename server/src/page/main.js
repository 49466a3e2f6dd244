// What happens when.
import { ask } from "./api.js";
import { watch } from "./attack.js";
import { compare } from "./compare.js";
import { blame, fill, model, query, suit } from "./form.js";
import { offer } from "./image.js";
import { bars, report } from "./report.js";

const at = (id) => document.getElementById(id);
const [status, error, cancel] = ["status", "error", "cancel"].map(at);

let image = null;
let predicting = null;
let running = null;

function fail(problem) {
  if (problem.name === "AbortError") return;
  status.textContent = "";
  error.textContent = problem.message;
  blame(problem.field);
}

async function predict() {
  if (!image || !model()) return;
  predicting?.abort();
  const { signal } = (predicting = new AbortController());
  error.textContent = "";
  blame();
  const asked = new URLSearchParams({ model: model().name, top_k: 10 });
  try {
    const { predictions } = await ask(`predict?${asked}`, { method: "POST", body: image.blob, signal });
    bars(at("prediction"), predictions[0]);
    at("prediction-title").hidden = false;
  } catch (problem) {
    if (!signal.aborted) at("prediction").replaceChildren();
    fail(problem);
  }
}

/** Runs what can be cancelled; what ran before is. */
async function run(start, work) {
  if (!image) {
    error.textContent = "There is no image yet: choose one, or take a drawn digit.";
    at("file").focus();
    return;
  }
  running?.abort();
  const mine = (running = new AbortController());
  error.textContent = "";
  blame();
  status.textContent = start;
  cancel.hidden = false;
  try {
    const end = await work(mine.signal);
    if (running === mine) status.textContent = mine.signal.aborted ? "Cancelled." : end;
  } catch (problem) {
    if (running !== mine) return;
    if (mine.signal.aborted) status.textContent = "Cancelled.";
    else fail(problem);
  } finally {
    if (running === mine) {
      if (document.activeElement === cancel) at("attack-now").focus();
      cancel.hidden = true;
      running = null;
    }
  }
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  at("result").hidden = true;
  run("Attacking …", async (signal) => {
    const asked = query({ return: "image" });
    const attacked = image;
    const answer = await watch(asked, attacked.blob, signal);
    return `Done. ${await report(answer, asked, attacked)}.`;
  });
});

at("compare").addEventListener("click", () => {
  run("Searching on every model …", async (signal) => {
    await compare(image.blob, signal);
    return "Done.";
  });
});

cancel.addEventListener("click", () => running?.abort());

offer((chosen) => {
  image = chosen;
  running?.abort();
  for (const id of ["course", "result", "comparison"]) at(id).hidden = true;
  suit(chosen);
  predict();
});

fill(predict).then(predict, fail);
