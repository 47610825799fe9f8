// Adds to portrait.mjs what a page needs: how large to draw, and one face followed through the
// camera's frames, as tps_portrait.video does it: the mesh network alone, in a crop around the last
// landmarks, smoothed by a One Euro filter (Casiez et al., CHI 2012, doi:10.1145/2207676.2208639).

import { Stylizer, cut } from "./portrait.mjs";

const SEARCH_EVERY = 5; // frames between two detections while no face is known
const DETECT_EVERY = 60; // frames after which the face is searched anew
const [MIN_CUTOFF, BETA, DERIVATIVE_CUTOFF] = [0.5, 30, 1];
const FOREHEAD = 1.25; // the mesh reaches higher than the 68 landmarks

export class Follower extends Stylizer {
  faces = 0;
  points = null; // of the mesh, in the last frame
  age = 0;

  /** Say how the next pictures are drawn. */
  look({ mode, size, live }) {
    const { facts } = this.style;
    facts.sizes ??= [facts.face_size, facts.frame_size];
    if (!live || mode !== this.mode) this.points = this.filter = null;
    [this.mode, this.live] = [mode, live];
    facts.frame_size = size;
    facts.face_size = Math.min(facts.sizes[0], size);
  }

  async find(photo) {
    let found = [];
    if (this.mode === "face") {
      found = this.live ? await this.follow(photo) : await super.find(photo);
    }
    this.faces = found.length;
    return found;
  }

  /** The largest face of the next frame, as a list of none or one. */
  async follow(photo) {
    const { facts } = this.mesh;
    this.age += 1;
    if (this.points && this.age < DETECT_EVERY) {
      this.points = await this.place(photo, this.squareOf(this.points, facts.crop_scale));
    } else if (this.points || this.age >= SEARCH_EVERY || !this.filter) {
      const faces = await super.find(photo);
      const extent = (face) => this.squareOf(face, 1).at(2);
      const largest = faces.sort((a, b) => extent(b) - extent(a))[0];
      this.age = 0;
      this.points = largest
        ? await this.place(photo, this.squareOf(largest, facts.crop_scale * FOREHEAD))
        : null;
      this.filter ??= new OneEuro();
    }
    if (!this.points) {
      this.filter = this.filter && new OneEuro();
      return [];
    }
    const marks = facts.landmarks_68.map((i) => this.points[i]);
    const scale = Math.hypot(marks[45][0] - marks[36][0], marks[45][1] - marks[36][1]) / 1.4;
    const smooth = this.filter.next(marks.flat(), performance.now() / 1000, scale);
    return [marks.map((_, i) => [smooth[2 * i], smooth[2 * i + 1]])];
  }

  /** Run the mesh in a square; null where there is no face. */
  async place(photo, [x, y, side, angle]) {
    const { facts, size } = this.mesh;
    const numbers = await this.mesh.run(cut(photo, [x, y, side, angle], size[0], true));
    if (numbers[3 * facts.presence_row] < facts.presence_threshold) return null;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    return Array.from({ length: facts.presence_row }, (_, i) => {
      const [u, v] = [(numbers[3 * i] - 0.5) * side, (numbers[3 * i + 1] - 0.5) * side];
      return [x + u * cos - v * sin, y + u * sin + v * cos];
    });
  }

  /** The square [x, y, side, angle] around a mesh or 68 landmarks, level with the eyes. */
  squareOf(points, scale) {
    const [right, left] = points.length === 68 ? [36, 45] : this.mesh.facts.eye_line;
    const [dx, dy] = [0, 1].map((c) => points[left][c] - points[right][c]);
    const angle = Math.atan2(dy, dx);
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const level = points.map(([x, y]) => [x * cos + y * sin, y * cos - x * sin]);
    const [low, high] = [Math.min, Math.max].map((pick) =>
      [0, 1].map((c) => pick(...level.map((point) => point[c]))),
    );
    const [u, v] = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2];
    const side = Math.max(high[0] - low[0], high[1] - low[1]) * scale;
    return [u * cos - v * sin, u * sin + v * cos, side, angle];
  }
}

class OneEuro {
  next(values, time, scale) {
    const step = time - this.time;
    this.time = time;
    if (!(step > 0)) {
      this.speeds = values.map(() => 0);
      return (this.values = values);
    }
    const share = (cutoff) => {
      const r = 2 * Math.PI * cutoff * step;
      return r / (r + 1);
    };
    const steady = share(DERIVATIVE_CUTOFF);
    this.values = this.values.map((old, i) => {
      const speed = (values[i] - old) / (step * scale);
      this.speeds[i] += (speed - this.speeds[i]) * steady;
      return old + (values[i] - old) * share(MIN_CUTOFF + BETA * Math.abs(this.speeds[i]));
    });
    return this.values;
  }
}
