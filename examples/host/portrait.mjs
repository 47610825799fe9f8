// What an app does around the exported networks, for browsers and Node: find faces, cut, draw,
// paste back. The same as stylize.py, step by step; no dependency but onnxruntime, which is passed in.
//
//   const stylizer = await Stylizer.load(ort, async (name) => fetched bytes, "animation.onnx");
//   const drawing = await stylizer.draw({ data: rgb, width, height });
//
// Pictures are { data, width, height } with three values a pixel, RGB, 0 to 255. Points are [x, y] in
// pixels; the centre of pixel i is i + 0.5. Squares are [x, y, side, angle].

/** An exported file in onnxruntime, fed as the JSON beside it says. */
export class Network {
  constructor(ort, session, facts) {
    Object.assign(this, { ort, session, facts, entry: facts.input });
    const first = this.entry.layout.indexOf("H");
    const sides = this.entry.shape.slice(first, first + 2);
    this.size = sides.includes("height") ? null : sides; // [height, width], null for any
  }

  static async load(ort, read, name, options) {
    const [model, json] = await Promise.all([read(name), read(`${name}.json`)]);
    const session = await ort.InferenceSession.create(new Uint8Array(model), options);
    return new Network(ort, session, JSON.parse(new TextDecoder().decode(json)));
  }

  /** Run one picture; the output's values without batch. */
  async run({ data, width, height }) {
    const pixels = this.entry.dtype === "uint8";
    const last = this.entry.layout === "NHWC";
    const count = width * height;
    const values = pixels ? new Uint8Array(3 * count) : new Float32Array(3 * count);
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < 3; c++) {
        const value = data[3 * i + c];
        values[last ? 3 * i + c : c * count + i] = pixels ? round(value) : value / 127.5 - 1;
      }
    }
    const shape = last ? [1, height, width, 3] : [1, 3, height, width];
    const type = pixels ? "uint8" : "float32";
    const feeds = { image: new this.ort.Tensor(type, values, shape) };
    const output = (await this.session.run(feeds))[this.facts.output.name];
    return output.data;
  }

  /** Draw a picture of any size; what the file cannot take is shrunk and padded. */
  async draw(picture) {
    const { width, height } = picture;
    const step = this.facts.size_multiple ?? 32;
    const box = this.size ?? [Math.ceil(height / step) * step, Math.ceil(width / step) * step];
    const scale = Math.min(1, box[0] / height, box[1] / width);
    const [w, h] = [width, height].map((n) => Math.max(1, Math.round(n * scale)));
    const padded = pad(rounded(resize(picture, w, h)), 0, 0, box[1] - w, box[0] - h);
    const values = await this.run(padded);
    const count = box[0] * box[1];
    const drawn = picture_(box[1], box[0]);
    const last = this.entry.layout === "NHWC";
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < 3; c++) {
        const value = values[last ? 3 * i + c : c * count + i];
        drawn.data[3 * i + c] = this.entry.dtype === "uint8" ? value : round((value + 1) * 127.5);
      }
    }
    return rounded(resize(crop(drawn, 0, 0, w, h), width, height));
  }
}

/** Draws photos as the pipeline's face mode does. */
export class Stylizer {
  /** `read(name)` gives the bytes of a file; `options` are onnxruntime's for a session. */
  static async load(ort, read, model = "animation.onnx", options = {}) {
    const names = ["face-short.onnx", "face-full.onnx", "face-mesh.onnx"];
    const stylizer = new Stylizer();
    const networks = [];
    for (const name of [model, ...names]) {
      networks.push(await Network.load(ort, read, name, options));
    }
    [stylizer.style, stylizer.short, stylizer.full, stylizer.mesh] = networks;
    return stylizer;
  }

  /** Draw a photo with all its faces. */
  async draw(photo) {
    const { facts } = this.style;
    const margin = facts.face_crop.frame_margin;
    const side = this.style.size ? Math.min(...this.style.size) : facts.face_size;
    const squares = (await this.find(photo)).map((points) => this.cropAround(points));
    squares.sort((a, b) => a[2] - b[2]); // the largest face is pasted last
    // The frame is drawn at a scale at which lines are as thick as in the largest face.
    const wanted = squares.length ? side / squares.at(-1)[2] : 1;
    const scale = Math.min(wanted, facts.frame_size / Math.max(photo.width, photo.height));
    const [w, h] = [photo.width, photo.height].map((n) => Math.max(32, Math.round(n * scale)));
    const frame = pad(rounded(resize(photo, w, h)), margin, margin, margin, margin);
    const whole = crop(await this.style.draw(frame), margin, margin, w, h);
    const canvas = resize(whole, photo.width, photo.height);
    const drawing = { ...canvas, data: Float32Array.from(canvas.data) };
    for (const square of squares) {
      this.paste(drawing, await this.style.draw(cut(photo, square, side, false)), square);
    }
    return rounded(drawing);
  }

  /** Find faces: 68 landmarks each. */
  async find(photo) {
    const found = await this.detect(this.full, photo);
    for (const candidate of await this.detect(this.short, photo)) {
      if (!found.some((other) => this.same(candidate.values, other.values))) found.push(candidate);
    }
    found.sort((a, b) => b.score - a.score);
    const { facts } = this.mesh;
    const [faces, boxes] = [[], []];
    for (const { values } of found) {
      let square = squareAround(values.slice(0, 2), minus(values[3], values[2]), facts.crop_scale, true);
      let points, presence;
      for (let pass = 0; pass <= facts.refinements; pass++) {
        const numbers = await this.mesh.run(cut(photo, square, this.mesh.size[0], true));
        presence = numbers[3 * facts.presence_row];
        points = [];
        for (let i = 0; i < facts.presence_row; i++) {
          points.push(place([numbers[3 * i], numbers[3 * i + 1]], square));
        }
        const [right, left] = facts.eye_line.map((i) => points[i]);
        square = squareAround(points, minus(left, right), facts.crop_scale, false);
      }
      const marks = facts.eyes_nose_lips.map((i) => points[i]);
      const key = [...marks.slice(0, 3), middle(marks.slice(3))];
      const away = mean(key.map((point, i) => Math.hypot(...minus(point, values[2 + i]))));
      const box = bounds(points);
      const extent = Math.max(...minus(box[1], box[0]));
      const agrees = presence >= facts.presence_threshold && away / extent <= facts.keypoint_tolerance;
      if (agrees && !boxes.some((other) => this.same(box, other))) {
        boxes.push(box);
        faces.push(facts.landmarks_68.map((i) => points[i]));
      }
    }
    return faces;
  }

  /** Run a detector: candidates with score and eight points, two corners and six key points. */
  async detect(network, photo) {
    const size = network.size[0];
    const scale = size / Math.max(photo.width, photo.height);
    const [w, h] = [photo.width, photo.height].map((n) => Math.max(1, Math.round(n * scale)));
    const [left, top] = [Math.floor((size - w) / 2), Math.floor((size - h) / 2)];
    const view = picture_(size, size);
    const small = resize(photo, w, h, LINEAR);
    for (let y = 0; y < h; y++) {
      view.data.set(small.data.subarray(3 * y * w, 3 * (y + 1) * w), 3 * ((top + y) * size + left));
    }
    const numbers = await network.run(view);
    let rows = [];
    for (let start = 0; start < numbers.length; start += 17) {
      if (numbers[start] < network.facts.score_threshold) continue;
      const values = [];
      for (let i = start + 1; i < start + 17; i += 2) {
        const x = ((numbers[i] * size - left) * photo.width) / w;
        values.push([x, ((numbers[i + 1] * size - top) * photo.height) / h]);
      }
      rows.push({ score: numbers[start], values });
    }
    rows.sort((a, b) => b.score - a.score);
    const kept = [];
    while (rows.length) {
      // What overlaps becomes one weighted mean.
      const near = rows.filter((row, i) => i === 0 || overlap(rows[0].values, row.values) > 0.3);
      const total = near.reduce((sum, row) => sum + row.score, 0);
      const values = rows[0].values.map((_, i) =>
        [0, 1].map((c) => near.reduce((sum, row) => sum + row.score * row.values[i][c], 0) / total),
      );
      const merged = { score: rows[0].score, values };
      if (!kept.some((other) => this.same(values, other.values))) kept.push(merged);
      rows = rows.filter((row) => !near.includes(row));
    }
    return kept;
  }

  /** Whether two boxes are one face: they overlap, or one holds most of the other. */
  same(first, second) {
    const smaller = Math.min(area(first), area(second));
    const limit = this.full.facts.overlap_threshold;
    return overlap(first, second) > limit || shared(first, second) > 0.7 * smaller;
  }

  /** The square around a face, framed as in training. */
  cropAround(landmarks) {
    const facts = this.style.facts.face_crop;
    const [right, left] = [middle(landmarks.slice(36, 42)), middle(landmarks.slice(42, 48))];
    const [centre, axis] = [middle([right, left]), minus(left, right)];
    const mouth = minus(middle(landmarks.slice(48, 60)), centre);
    const reach = Math.hypot(...mouth) / facts.mouth_to_eyes;
    const distance = Math.max(Math.hypot(...axis), reach); // eyes come together when a head turns
    const [side, angle] = [(2 * distance) / facts.interocular, Math.atan2(axis[1], axis[0])];
    const offset = turn(facts.eye_center, angle).map((value) => (value / 2) * side);
    return [...minus(centre, offset), side, angle];
  }

  /** Lay a drawn face over the canvas (changed in place), fading toward its border. */
  paste(canvas, face, [x, y, side, angle]) {
    const size = Math.ceil(side);
    if (size < face.width) face = resize(face, size, size);
    const reach = (side / 2) * (Math.abs(Math.cos(angle)) + Math.abs(Math.sin(angle)));
    const [inner, outer] = this.style.facts.face_crop.fade;
    const [x0, x1] = [Math.max(0, Math.floor(x - reach)), Math.min(canvas.width, Math.ceil(x + reach))];
    const [y0, y1] = [Math.max(0, Math.floor(y - reach)), Math.min(canvas.height, Math.ceil(y + reach))];
    const drawn = new Float32Array(3);
    for (let row = y0; row < y1; row++) {
      for (let column = x0; column < x1; column++) {
        // The crop is from -1 to 1.
        const [u, v] = turn([column + 0.5 - x, row + 0.5 - y], -angle).map((n) => (2 * n) / side);
        const part = clamp((outer - (u ** 4 + v ** 4) ** 0.25) / (outer - inner), 0, 1);
        if (part === 0) continue;
        const weight = part * part * (3 - 2 * part);
        sample(face, ((u + 1) * face.width) / 2, ((v + 1) * face.width) / 2, CUBIC_TAPS, drawn, 0);
        const at = 3 * (row * canvas.width + column);
        for (let c = 0; c < 3; c++) canvas.data[at + c] += (drawn[c] - canvas.data[at + c]) * weight;
      }
    }
  }
}

/** Cut a turned square out of a photo: smooth for the mesh, sharp for what is drawn. */
export function cut(photo, square, size, smooth) {
  const [x, y, side, angle] = square;
  const step = side / size;
  const turned = Math.abs(Math.cos(angle)) + Math.abs(Math.sin(angle));
  const reach = (side / 2) * turned + (smooth ? 2 : 4) * step;
  const x0 = clamp(Math.floor(x - reach), 0, photo.width - 1);
  const y0 = clamp(Math.floor(y - reach), 0, photo.height - 1);
  const x1 = Math.max(Math.min(Math.ceil(x + reach), photo.width), x0 + 1);
  const y1 = Math.max(Math.min(Math.ceil(y + reach), photo.height), y0 + 1);
  let patch = crop(photo, x0, y0, x1 - x0, y1 - y0);
  if (step > 1) {
    // Shrink first, so that nothing aliases. Landmarks notice even rounding.
    const [w, h] = [x1 - x0, y1 - y0].map((n) => Math.max(1, Math.round(n / step)));
    patch = smooth ? resize(patch, w, h, LINEAR) : rounded(resize(patch, w, h));
  }
  const ratio = [patch.width / (x1 - x0), patch.height / (y1 - y0)];
  const result = picture_(size, size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const point = place([(column + 0.5) / size, (row + 0.5) / size], square);
      const [u, v] = [(point[0] - x0) * ratio[0], (point[1] - y0) * ratio[1]];
      sample(patch, u, v, smooth ? LINEAR_TAPS : CUBIC_TAPS, result.data, 3 * (row * size + column));
    }
  }
  return result;
}

const LINEAR = { support: 1, at: (t) => Math.max(0, 1 - Math.abs(t)) };
const CUBIC = {
  support: 2,
  at(t) {
    const s = Math.abs(t);
    if (s < 1) return (1.5 * s - 2.5) * s * s + 1;
    return s < 2 ? ((s - 5) * s + 8) * s * -0.5 + 2 : 0;
  },
};

/**
 * Resize, antialiased, as Pillow does. The bicubic filter is PyTorch's of bytes: weights are whole
 * numbers of a fraction, and bytes come out of each direction.
 */
export function resize(picture, width, height, filter = CUBIC) {
  let result = picture;
  if (width !== picture.width) result = transposed(resizeRows(transposed(result), width, filter));
  return height === picture.height ? result : resizeRows(result, height, filter);
}

function resizeRows({ data, width, height }, rows, filter) {
  const result = picture_(width, rows);
  const windows = weightsOf(height, rows, filter);
  const unit = filter === CUBIC ? fractionOf(windows) : 0;
  const line = new Float64Array(3 * width);
  windows.forEach(({ first, weights }, row) => {
    line.fill(0);
    weights.forEach((exact, i) => {
      const weight = unit ? Math.trunc(exact * unit + 0.5 * Math.sign(exact)) / unit : exact;
      const start = 3 * (first + i) * width;
      for (let k = 0; k < line.length; k++) line[k] += weight * data[start + k];
    });
    result.data.set(unit ? line.map(round) : line, row * line.length);
  });
  return result;
}

/** For each new row, the first of the rows that make it, and what each counts. */
function weightsOf(height, rows, { support, at }) {
  const step = height / rows;
  const stretch = Math.max(step, 1);
  return Array.from({ length: rows }, (_, row) => {
    const centre = (row + 0.5) * step;
    const first = Math.max(0, Math.floor(centre - support * stretch + 0.5));
    const end = Math.min(height, Math.floor(centre + support * stretch + 0.5));
    const parts = Array.from({ length: end - first }, (_, i) =>
      at((first + i + 0.5 - centre) / stretch),
    );
    const total = parts.reduce((sum, part) => sum + part, 0);
    return { first, weights: parts.map((part) => part / total) };
  });
}

/** The finest power of two of which all weights are less than 2 ** 15 parts, at most 2 ** 22. */
function fractionOf(windows) {
  const most = windows.reduce((found, { weights }) => Math.max(found, ...weights), 0);
  let unit = 1;
  while (unit < 2 ** 22 && Math.floor(0.5 + most * unit * 2) < 2 ** 15) unit *= 2;
  return unit;
}

function transposed({ data, width, height }) {
  const result = picture_(height, width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        result.data[3 * (x * height + y) + c] = data[3 * (y * width + x) + c];
      }
    }
  }
  return result;
}

const LINEAR_TAPS = (t) => [1 - t, t];
const CUBIC_TAPS = (t) => [far(t + 1), near(t), near(1 - t), far(2 - t)];
const near = (s) => (1.25 * s - 2.25) * s * s + 1;
const far = (s) => ((s - 5) * s + 8) * s * -0.75 + 3;

/** Read a picture at a point into result; beyond the borders the border goes on. */
function sample({ data, width, height }, x, y, taps, result, at) {
  const [u, v] = [clamp(x - 0.5, 0, width - 1), clamp(y - 0.5, 0, height - 1)];
  const [column, row] = [Math.floor(u), Math.floor(v)];
  const [across, down] = [taps(u - column), taps(v - row)];
  const first = 1 - across.length / 2;
  result[at] = result[at + 1] = result[at + 2] = 0;
  for (let j = 0; j < down.length; j++) {
    const line = clamp(row + first + j, 0, height - 1) * width;
    for (let k = 0; k < across.length; k++) {
      const from = 3 * (line + clamp(column + first + k, 0, width - 1));
      const weight = down[j] * across[k];
      for (let c = 0; c < 3; c++) result[at + c] += weight * data[from + c];
    }
  }
}

/** Continue the borders of a picture outward. */
function pad({ data, width, height }, left, top, right, bottom) {
  const result = picture_(left + width + right, top + height + bottom);
  for (let y = 0; y < result.height; y++) {
    for (let x = 0; x < result.width; x++) {
      const from = clamp(y - top, 0, height - 1) * width + clamp(x - left, 0, width - 1);
      for (let c = 0; c < 3; c++) result.data[3 * (y * result.width + x) + c] = data[3 * from + c];
    }
  }
  return result;
}

function crop({ data, width }, left, top, columns, rows) {
  const result = picture_(columns, rows);
  for (let y = 0; y < rows; y++) {
    const start = 3 * ((top + y) * width + left);
    result.data.set(data.subarray(start, start + 3 * columns), 3 * y * columns);
  }
  return result;
}

const picture_ = (width, height) => ({ data: new Float32Array(3 * width * height), width, height });
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const round = (value) => clamp(Math.round(value), 0, 255);
const rounded = (picture) => ({ ...picture, data: picture.data.map(round) });

/** Turn a vector by an angle, from x toward y. */
const turn = ([x, y], angle) => [
  x * Math.cos(angle) - y * Math.sin(angle),
  x * Math.sin(angle) + y * Math.cos(angle),
];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const middle = (points) => [0, 1].map((c) => mean(points.map((point) => point[c])));
const bounds = (points) =>
  [Math.min, Math.max].map((pick) => [0, 1].map((c) => pick(...points.map((point) => point[c]))));

/** The turned square around points, or around the upright box of two corners. */
function squareAround(points, direction, scale, upright) {
  const angle = Math.atan2(direction[1], direction[0]);
  const [low, high] = bounds(upright ? points : points.map((point) => turn(point, -angle)));
  const centre = middle([low, high]);
  const side = Math.max(...minus(high, low)) * scale;
  return [...(upright ? centre : turn(centre, angle)), side, angle];
}

/** A point in [0, 1] of a square, in pixels of the picture. */
function place([u, v], [x, y, side, angle]) {
  const [dx, dy] = turn([(u - 0.5) * side, (v - 0.5) * side], angle);
  return [x + dx, y + dy];
}

const area = ([low, high]) => Math.max(high[0] - low[0], 0) * Math.max(high[1] - low[1], 0);
const shared = (a, b) =>
  area([
    [Math.max(a[0][0], b[0][0]), Math.max(a[0][1], b[0][1])],
    [Math.min(a[1][0], b[1][0]), Math.min(a[1][1], b[1][1])],
  ]);
const overlap = (a, b) => shared(a, b) / Math.max(area(a) + area(b) - shared(a, b), 1e-9);
