// A line over steps, drawn as it grows.

const NAMESPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [260, 130];
const [LEFT, RIGHT, TOP, BOTTOM] = [48, 8, 8, 18];

/** Points kept; beyond that every second one goes. */
const MOST = 500;

function draw(name, attributes, parent) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function short(value) {
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  return Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}

/** `write` puts a value into words, `ticks` one on the axis; `range` is the least that the axis shows; `mark` is a value with a line of its own. */
export class Chart {
  constructor(title, { write = short, ticks = write, range = [], mark } = {}) {
    Object.assign(this, { title, write, ticks, range, mark, points: [], last: 0 });
    this.element = document.createElement("figure");
    const caption = document.createElement("figcaption");
    this.now = document.createElement("b");
    caption.append(`${title} `, this.now);
    this.svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, this.element);
    this.element.prepend(caption);
    this.paint();
  }

  add(step, value) {
    this.last = step;
    if (Number.isFinite(value)) this.points.push([step, value]);
    if (this.points.length > MOST) this.points = this.points.filter((_, at) => at % 2 === 0);
    // Steps may come faster than the screen shows them.
    this.frame ??= requestAnimationFrame(() => this.paint());
  }

  paint() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const { points, svg, mark, write, ticks } = this;
    svg.replaceChildren();
    const values = [...points.map(([, value]) => value), ...this.range];
    if (mark !== undefined) values.push(mark);
    let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    if (low === high) [low, high] = [low - 0.5, high + 0.5];
    const last = Math.max(1, this.last);
    const x = (step) => LEFT + (step / last) * (WIDTH - LEFT - RIGHT);
    const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    draw("path", { class: "axis", fill: "none", d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}` }, svg);
    for (const value of [low, high]) {
      draw("text", { x: LEFT - 5, y: y(value) + 3.5, "text-anchor": "end" }, svg).textContent = ticks(value);
    }
    draw("text", { x: LEFT, y: HEIGHT - 5 }, svg).textContent = "0";
    draw("text", { x: WIDTH - RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, svg).textContent = `step ${last}`;
    if (mark !== undefined) draw("line", { class: "zero", x1: LEFT, x2: WIDTH - RIGHT, y1: y(mark), y2: y(mark) }, svg);
    const end = points.at(-1);
    if (end) {
      draw("polyline", { class: "line", points: points.map(([step, value]) => `${x(step)},${y(value)}`).join(" ") }, svg);
      draw("circle", { class: "last", cx: x(end[0]), cy: y(end[1]), r: 3 }, svg);
    }
    this.now.textContent = end ? write(end[1]) : "";
    svg.setAttribute("aria-label", end ? `${this.title}: from ${write(points[0][1])} to ${write(end[1])} in ${end[0]} steps` : this.title);
  }
}
