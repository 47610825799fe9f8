// Draws, away from the page's own thread. Messages in: {id, width, height, pixels (RGBA), style, mode,
// size, live}; out: {id, pixels, milliseconds, backend, faces} or {id, error}.

import { Follower } from "./follow.mjs";
import { Network } from "./portrait.mjs";

const RUNTIMES = {
  wasm: ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"],
  webgpu: ["ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"],
};
const FACES = { short: "face-short.onnx", full: "face-full.onnx", mesh: "face-mesh.onnx" };

const here = (path) => new URL(path, import.meta.url).href;
const stylizer = new Follower();
const styles = new Map();
let engine = null;
let queue = Promise.resolve();

onmessage = ({ data }) => {
  queue = queue.then(async () => {
    try {
      const drawn = await draw(data);
      postMessage({ id: data.id, ...drawn }, [drawn.pixels]);
    } catch (error) {
      postMessage({ id: data.id, error: error.message });
    }
  });
};

async function draw({ width, height, pixels, style, mode, size, live }) {
  engine ??= await start();
  if (!styles.has(style)) styles.set(style, await load(`${style}.onnx`));
  if (mode === "face") {
    for (const [role, name] of Object.entries(FACES)) stylizer[role] ??= await load(name);
  }
  stylizer.style = styles.get(style);
  stylizer.look({ mode, size, live });
  const started = performance.now();
  const drawing = await stylizer.draw({ data: withoutAlpha(pixels), width, height });
  return {
    pixels: withAlpha(drawing.data),
    milliseconds: performance.now() - started,
    backend: engine.words,
    faces: stylizer.faces,
  };
}

/** Load onnxruntime: with WebGPU where there is a real one, else with WebAssembly. */
async function start() {
  const asked = new URLSearchParams(self.location.search).get("backend");
  const kind = asked ?? ((await hasGpu()) ? "webgpu" : "wasm");
  const [script, binary] = RUNTIMES[kind] ?? RUNTIMES.wasm;
  const ort = await import(here(`runtime/${script}`));
  ort.env.wasm.wasmPaths = { wasm: here(`runtime/${binary}`) };
  const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  const words = kind === "webgpu" ? "WebGPU" : `WebAssembly, ${threads} thread(s)`;
  return { ort, words, options: { executionProviders: kind === "webgpu" ? ["webgpu"] : ["wasm"] } };
}

async function hasGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
  } catch {
    return false;
  }
}

function load(name) {
  return Network.load(engine.ort, read, name, engine.options);
}

async function read(name) {
  const answer = await fetch(here(`models/${name}`));
  if (!answer.ok) throw new Error(`The file ${name} is missing. Start "tps-portrait web" again.`);
  return answer.arrayBuffer();
}

function withoutAlpha(buffer) {
  const rgba = new Uint8ClampedArray(buffer);
  const rgb = new Float32Array((rgba.length / 4) * 3);
  for (let i = 0, k = 0; i < rgba.length; i += 4) {
    rgb[k++] = rgba[i];
    rgb[k++] = rgba[i + 1];
    rgb[k++] = rgba[i + 2];
  }
  return rgb;
}

function withAlpha(rgb) {
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4);
  for (let i = 0, k = 0; k < rgb.length; i += 4) {
    rgba[i] = rgb[k++];
    rgba[i + 1] = rgb[k++];
    rgba[i + 2] = rgb[k++];
    rgba[i + 3] = 255;
  }
  return rgba.buffer;
}
