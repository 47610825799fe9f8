// Draws one photo (JPEG or PNG) in Node with portrait.mjs and onnxruntime-web. In this folder:
//
//   npm ci
//   node stylize.mjs me.jpg models/animation.onnx me-animation.png
//
// The camera's turn in a JPEG (EXIF) is not looked at; browsers turn pictures themselves.

import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import jpeg from "jpeg-js";
import * as ort from "onnxruntime-web";
import { PNG } from "pngjs";
import { Stylizer } from "./portrait.mjs";

const [photo, model, output] = process.argv.slice(2);
if (!output) {
  console.error("usage: node stylize.mjs PHOTO MODEL.onnx OUT.png");
  process.exit(2);
}

/** Pixels of a picture file, RGB. */
async function load(file) {
  const bytes = await readFile(file);
  const png = bytes.subarray(1, 4).toString() === "PNG";
  const { data, width, height } = png ? PNG.sync.read(bytes) : jpeg.decode(bytes);
  return { data: data.filter((_, i) => i % 4 !== 3), width, height };
}

ort.env.wasm.numThreads = 1;
const read = (name) => readFile(path.join(path.dirname(model), name));
const stylizer = await Stylizer.load(ort, read, path.basename(model));
const { data, width, height } = await stylizer.draw(await load(photo));
const png = new PNG({ width, height });
for (let i = 0; i < width * height; i++) {
  png.data.set([...data.subarray(3 * i, 3 * i + 3), 255], 4 * i);
}
await writeFile(output, PNG.sync.write(png));
