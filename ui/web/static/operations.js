// The import of a document: the file is uploaded first, then the import is asked for as by any button, so that a reload
// or a restart of the studio loses nothing.

import { start } from "./acting.js";
import { escape, notice, problem, say } from "./live.js";

document.addEventListener("submit", (event) => {
  const form = event.target.closest("#tb-import-form");
  if (!form) return;
  event.preventDefault();
  const file = form.querySelector("[type=file]").files[0];
  if (file && form.getAttribute("aria-busy") !== "true") upload(form, file);
});

function upload(form, file) {
  const bar = form.querySelector("progress");
  const body = new FormData();
  body.append("files", file);
  const request = new XMLHttpRequest();
  request.open("POST", "/gradio_api/upload");
  request.upload.addEventListener("progress", ({ loaded, total }) => { bar.value = (100 * loaded) / total; });
  request.addEventListener("loadend", () => {
    bar.hidden = true;
    form.removeAttribute("aria-busy");
    const answer = read(request.responseText);
    if (request.status === 200 && Array.isArray(answer)) {
      start({ dataset: { act: "import_document" } }, { path: answer[0] });
      form.reset();
    } else {
      notice(answer?.error ? problem(answer.error) : escape(say("failed")), { kind: "error" });
    }
  });
  bar.hidden = false;
  form.setAttribute("aria-busy", "true");
  request.send(body);
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
