// The page: where pictures come from, and what is shown. worker.mjs draws.

const MAX_PIXELS = 24e6; // of a picture that is read; larger ones are shrunk
const WORDS = {
  noImage: "That is not a picture that can be shown. Choose a JPEG, PNG or WebP file.",
  noModels: "There are no styles here. Serve this page by: tps-portrait web",
  noCamera: "This browser gives no camera to this page: that needs localhost or https.",
};

const $ = (id) => document.getElementById(id);
const worker = new Worker(new URL(`worker.mjs${location.search}`, import.meta.url), {
  type: "module",
});
const waiting = new Map();
let lastCall = 0;
let source = null; // ImageBitmap of the picture on show, null while the camera runs
let shown = 0; // frames drawn since the page was opened
let turn = 0; // grows with each new thing to draw, so that what is late is dropped
let stream = null;
let sizeChosen = false; // by the user, and so not changed for the camera

worker.onmessage = ({ data }) => {
  const { resolve, reject } = waiting.get(data.id);
  waiting.delete(data.id);
  if (data.error) reject(new Error(data.error));
  else resolve(data);
};
worker.onerror = (event) => complain(`The drawing program stopped: ${event.message}`);

function call(message, transfer = []) {
  return new Promise((resolve, reject) => {
    const id = ++lastCall;
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, ...message }, transfer);
  });
}

function say(text) {
  $("status").textContent = text;
  if (text) $("problem").textContent = "";
}

function complain(text) {
  $("status").textContent = "";
  $("problem").textContent = text;
}

const choices = () => ({
  style: $("style").value,
  mode: $("mode").value,
  size: Number($("size").value),
});

/** Draw pixels (ImageData) and show both. Returns whether this was still wanted in the end. */
async function draw(photo, live) {
  const mine = turn;
  const { width, height } = photo;
  const pixels = photo.data.slice().buffer;
  const started = performance.now();
  const drawn = await call({ width, height, pixels, live, ...choices() }, [pixels]);
  if (mine !== turn) return false;
  show($("photo"), photo);
  show($("drawing"), new ImageData(new Uint8ClampedArray(drawn.pixels), width, height));
  $("views").style.width = `${(65 * width) / height}vh`;
  $("views").hidden = false;
  $("hint").hidden = true;
  $("save").disabled = false;
  delete $("stage").dataset.empty;
  shown += 1;
  $("frames").textContent = document.body.dataset.shown = shown;
  $("milliseconds").textContent = Math.round(drawn.milliseconds);
  $("rate").textContent = live ? (1000 / (performance.now() - started)).toFixed(1) : "–";
  $("backend").textContent = drawn.backend;
  document.body.dataset.faces = drawn.faces;
  return true;
}

function show(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function placeLine() {
  const share = $("split").value;
  $("views").style.setProperty("--split", `${share}%`);
  $("split").setAttribute("aria-valuetext", `${share} percent picture`);
}

async function drawPicture() {
  if (!source) return;
  turn += 1;
  say("Drawing …");
  try {
    const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (source.width * source.height)));
    const photo = grab(source, source.width * scale, source.height * scale);
    if (await draw(photo, false)) {
      const faces = Number(document.body.dataset.faces);
      const found = $("mode").value === "frame" ? "" : ` Faces: ${faces}.`;
      say(`Drawn in ${$("style").selectedOptions[0].textContent}.${found}`);
    }
  } catch (error) {
    complain(error.message);
  }
}

/** Pixels of a bitmap or video at a size. */
function grab(image, width, height) {
  const [w, h] = [width, height].map((n) => Math.max(1, Math.round(n)));
  const canvas = new OffscreenCanvas(w, h);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white"; // under transparent pictures
  context.fillRect(0, 0, w, h);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, w, h);
  return context.getImageData(0, 0, w, h);
}

async function open(blob) {
  stopCamera();
  if (!sizeChosen) $("size").value = "512";
  try {
    source = await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    complain(WORDS.noImage);
    return;
  }
  if (Math.min(source.width, source.height) < 32) {
    complain(`The picture is ${source.width}x${source.height} pixels; 32 is the least.`);
    source = null;
    return;
  }
  await drawPicture();
}

async function startCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    complain(WORDS.noCamera);
    return;
  }
  $("camera").disabled = true;
  try {
    const wanted = { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    const video = $("video");
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    stopCamera();
    complain(`The camera cannot be used: ${error.message}`);
    return;
  } finally {
    $("camera").disabled = false;
  }
  source = null;
  turn += 1;
  if (!sizeChosen) $("size").value = "256";
  $("camera").setAttribute("aria-pressed", "true");
  $("camera").textContent = "Stop the camera";
  say("The camera is drawn as it comes.");
  const mine = stream;
  try {
    while (stream === mine) {
      const video = $("video");
      const scale = Number($("size").value) / Math.max(video.videoWidth, video.videoHeight);
      const least = 32 / Math.min(video.videoWidth, video.videoHeight);
      const k = Math.max(least, Math.min(1, scale));
      await draw(grab(video, video.videoWidth * k, video.videoHeight * k), true);
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    if (stream === mine) {
      stopCamera();
      complain(error.message);
    }
  }
}

function stopCamera() {
  if (!stream) return;
  for (const track of stream.getTracks()) track.stop();
  stream = null;
  turn += 1;
  $("video").srcObject = null;
  $("camera").setAttribute("aria-pressed", "false");
  $("camera").textContent = "Use the camera";
}

$("file").addEventListener("change", ({ target }) => {
  if (target.files.length) open(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
$("example").addEventListener("click", async () => {
  const answer = await fetch("example.jpg");
  await open(await answer.blob());
});
$("camera").addEventListener("click", () => {
  if (!stream) startCamera();
  else {
    stopCamera();
    say("The camera is off.");
  }
});
$("size").addEventListener("change", () => (sizeChosen = true));
for (const id of ["style", "mode", "size"]) $(id).addEventListener("change", drawPicture);
$("split").addEventListener("input", placeLine);
for (const kind of ["pointerdown", "pointermove"]) {
  $("views").addEventListener(kind, (event) => {
    if (event.target === $("split") || !(event.buttons & 1)) return;
    const box = $("views").getBoundingClientRect();
    $("split").value = (100 * (event.clientX - box.left)) / box.width;
    placeLine();
  });
}
$("save").addEventListener("click", () => {
  $("drawing").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `portrait-${$("style").value}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }, "image/png");
});

// The whole window takes what is dropped, so that a near miss does not leave the page.
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    if (kind === "dragover") $("stage").dataset.over = "";
    else delete $("stage").dataset.over;
    if (kind !== "drop") return;
    const file = event.dataTransfer.files[0];
    if (file) open(file);
    else complain(WORDS.noImage);
  });
}
addEventListener("paste", (event) => {
  const file = event.clipboardData.files[0];
  if (file) open(file);
});

async function start() {
  try {
    const answer = await fetch("styles.json");
    if (!answer.ok) throw new Error(answer.statusText);
    for (const { name, title } of await answer.json()) {
      $("style").append(new Option(title, name));
    }
  } catch {
    complain(WORDS.noModels);
    return;
  }
  $("size").value = "512";
  document.body.dataset.ready = "";
  if ("serviceWorker" in navigator) {
    try {
      await navigator.serviceWorker.register("sw.js");
      await navigator.serviceWorker.ready;
      document.body.dataset.offline = "";
      if (!shown && !$("problem").textContent) say("Ready; from now on also without a network.");
    } catch {
      // The page works as well; it only needs the network the next time.
    }
  }
}

start();
