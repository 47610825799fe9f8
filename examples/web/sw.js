// Keeps the whole page on the device, so that it works without a network after the first visit.
// files.js lists the files; its version changes with any of them, and with it this worker.

importScripts("files.js");

const NAME = `tps-portrait-${self.SITE.version}`;
// Threads need these two; not every web server can send them.
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** What this browser will ask for: the runtime for WebGPU only where that exists. */
const wanted = () =>
  self.SITE.files.filter((name) => self.navigator.gpu || !/webgpu|asyncify/.test(name));

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(NAME);
      await cache.addAll(["./", ...wanted()].map((name) => new Request(name, { cache: "no-cache" })));
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith("tps-portrait-") && name !== NAME) await caches.delete(name);
      }
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(
    (async () => {
      const cache = await caches.open(NAME);
      const kept = await cache.match(request, { ignoreSearch: true });
      return isolated(kept ?? (await fetch(request)));
    })(),
  );
});

function isolated(answer) {
  if (answer.type === "opaque") return answer;
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  const { status, statusText, body } = answer;
  return new Response([204, 304].includes(status) ? null : body, { status, statusText, headers });
}
