// Keeps the parts of a page that move as the server says: each element with
// data-live names the stream of its own. A page that nobody looks at is left
// alone, since a browser opens few connections to one host.
"use strict";
(() => {
  const streams = new Map();
  const open = (id) => {
    const part = document.getElementById(id);
    if (!part) return;
    const source = new EventSource(part.dataset.live);
    source.addEventListener("part", (e) => htmx.swap("#" + id, e.data, { swapStyle: "outerHTML" }));
    source.addEventListener("end", () => { source.close(); location.reload(); });
    // A refusal is final to a browser, and may not be to us: a server that starts
    // anew behind a proxy.
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) setTimeout(() => streams.get(id) === source && open(id), 5000); });
    streams.set(id, source);
  };
  const close = () => { for (const source of streams.values()) source.close(); streams.clear(); };
  const look = () => {
    close();
    if (!document.hidden) for (const part of document.querySelectorAll("[data-live]")) open(part.id);
  };
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (e) => { if (e.persisted) look(); });
  look();
})();
