// The image at hand, and pixels.

const drop = document.getElementById("drop");
const file = document.getElementById("file");
const preview = document.getElementById("preview");
const dropText = document.getElementById("drop-text");
const samples = document.getElementById("samples");

/** Images up to this size are shown with visible pixels. */
const SMALL = 128;

/** Offers every way to choose an image; `chosen` is told each one with its name, its size and whether it is grey. */
export function offer(chosen) {
  const take = async (blob, name, sample) => {
    if (!blob) return;
    const image = { blob, name, sample, ...(await look(blob)) };
    URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(blob);
    preview.alt = name;
    preview.className = image.width <= SMALL ? "small" : "";
    preview.hidden = false;
    dropText.textContent = image.width ? `${name}, ${image.width} × ${image.height}` : name;
    for (const button of samples.children) button.setAttribute("aria-pressed", button.value === sample);
    chosen(image);
  };
  file.addEventListener("change", () => {
    take(file.files[0], file.files[0]?.name);
    file.value = "";
  });
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0], event.dataTransfer.files[0]?.name);
  });
  addEventListener("paste", (event) => {
    const [pasted] = event.clipboardData.files;
    if (pasted) take(pasted, pasted.name);
  });
  for (let digit = 0; digit < 10; digit++) {
    const path = `assets/samples/${digit}.png`;
    const button = document.createElement("button");
    button.type = "button";
    button.value = path;
    button.setAttribute("aria-pressed", "false");
    const picture = Object.assign(new Image(), { src: path, alt: `A drawn ${digit}`, width: 28, height: 28 });
    button.append(picture);
    button.addEventListener("click", async () => {
      take(await (await fetch(path)).blob(), `${digit}.png`, path);
    });
    samples.append(button);
  }
}

/** Size and colour, where the browser knows the format. */
async function look(blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    const { width, height } = bitmap;
    const { data } = draw(bitmap, Math.min(width, 256), Math.min(height, 256));
    let grey = true;
    for (let at = 0; at < data.length && grey; at += 4) grey = data[at] === data[at + 1] && data[at] === data[at + 2];
    return { width, height, grey };
  } catch {
    return {};
  }
}

function draw(source, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** A picture from a data URI, ready to be drawn. */
export async function picture(source, alt) {
  const image = Object.assign(new Image(), { src: source, alt });
  await image.decode();
  if (image.naturalWidth <= SMALL) image.className = "small";
  return image;
}

/**
 * The signed difference of two pictures of one size, so that a change of `full` (of 1) fills the range, or the largest change
 * where `full` is not given. Colour: each channel around the middle grey. Grey: red is brighter, blue is darker.
 */
export function difference(before, after, full) {
  const [width, height] = [before.naturalWidth, before.naturalHeight];
  const [a, b] = [before, after].map((image) => draw(image, width, height).data);
  const change = Float32Array.from(a, (value, at) => (b[at] - value) / 255);
  full ??= change.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const grey = change.every((value, at) => at % 4 === 3 || value === change[at - (at % 4)]);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  if (width <= SMALL) canvas.className = "small";
  const pixels = new ImageData(width, height);
  for (let at = 0; at < a.length; at += 4) {
    const share = [0, 1, 2].map((channel) => Math.max(-1, Math.min(1, change[at + channel] / full)));
    const [red, green, blue] = grey
      ? [1 + Math.min(0, share[0]), 1 - Math.abs(share[0]), 1 - Math.max(0, share[0])]
      : share.map((value) => (1 + value) / 2);
    pixels.data.set([255 * red, 255 * green, 255 * blue, 255], at);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return { canvas, grey, times: grey ? 1 / full : 1 / (2 * full) };
}
