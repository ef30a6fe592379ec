// Uploading a file of rows: <form data-upload="ADDRESS" data-limit=BYTES data-suffixes='[".csv", …]'> with a file input
// and an element with class tb-uploading. The file travels at once, with its progress shown, and the page goes to
// ADDRESS&upload=NAME, where it is looked at. What is too large, or of another kind, is refused before it travels.

import { asked } from "./acting.js";
import { escape, look, problem, say } from "./live.js";

let travelling = null;

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-upload]");
  if (form && event.target.type === "file" && event.target.files.length) begin(form, event.target.files[0]);
});

document.addEventListener("dragover", (event) => {
  const place = event.target.closest("form[data-upload] .tb-drop");
  if (!place) return;
  event.preventDefault();
  place.setAttribute("data-own-over", "");
});

document.addEventListener("dragleave", (event) => {
  event.target.closest("form[data-upload] .tb-drop")?.removeAttribute("data-own-over");
});

document.addEventListener("drop", (event) => {
  const place = event.target.closest("form[data-upload] .tb-drop");
  if (!place) return;
  event.preventDefault();
  place.removeAttribute("data-own-over");
  if (event.dataTransfer.files.length) begin(place.closest("form"), event.dataTransfer.files[0]);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-upload-stop]")) travelling?.abort();
});

function refuse(form, words, hint = "") {
  form.querySelector(".tb-uploading").innerHTML = problem({ message: words, hint });
  form.querySelector("input[type=file]").value = "";
}

async function begin(form, file) {
  travelling?.abort();
  const limit = Number(form.dataset.limit);
  const suffixes = JSON.parse(form.dataset.suffixes);
  if (!suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix))) {
    refuse(form, say("upload.kind", { name: file.name }), say("upload.kinds", { kinds: suffixes.join(", ") }));
    return;
  }
  if (file.size > limit) {
    refuse(form, say("upload.large", { size: megabytes(file.size), limit: megabytes(limit) }), say("upload.by_path"));
    return;
  }
  if (!file.size) {
    refuse(form, say("upload.empty", { name: file.name }));
    return;
  }
  const place = form.querySelector(".tb-uploading");
  place.innerHTML = `<div class="tb-small">${escape(file.name)} <span></span></div>`
    + `<progress max="100" value="0" aria-label="${escape(say("upload.progress"))}"></progress>`
    + `<button type="button" class="tb-button tb-quiet" data-upload-stop>${escape(say("cancel"))}</button>`;
  const show = (done, total) => {
    const share = total ? Math.round((100 * done) / total) : 0;
    place.querySelector("progress").value = share;
    place.querySelector("span").textContent = share < 100 ? `${share} %` : say("upload.keeping");
  };
  try {
    const path = await send(file, show);
    const name = await keep(path, file.name);
    place.innerHTML = "";
    form.querySelector("input[type=file]").value = "";
    history.pushState(null, "", `${form.dataset.upload}&upload=${encodeURIComponent(name)}`);
    document.dispatchEvent(new CustomEvent("tunebus:address"));
    look({ force: true });
  } catch (trouble) {
    if (trouble.name === "AbortError") place.innerHTML = "";
    else refuse(form, trouble.message, trouble.hint);
  }
}

/** Sends the file; returns where the studio has put it for now. */
function send(file, show) {
  const body = new FormData();
  body.append("files", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    travelling = request;
    request.upload.addEventListener("progress", (event) => show(event.loaded, event.total));
    request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    request.addEventListener("error", () => reject(new Error(say("upload.broken"))));
    request.addEventListener("load", () => {
      travelling = null;
      if (request.status === 200) resolve(JSON.parse(request.responseText)[0]);
      else reject(refusal(request.responseText));
    });
    request.open("POST", "/gradio_api/upload");
    request.send(body);
  });
}

/** Has the studio take over what was sent; returns its name there. */
async function keep(path, name) {
  const answer = await asked("keep_dataset_upload", { path, name });
  if (answer.error) throw Object.assign(new Error(answer.error.message), { hint: answer.error.hint ?? "" });
  return answer.id;
}

function refusal(text) {
  try {
    const { error } = JSON.parse(text);
    return Object.assign(new Error(error.message), { hint: error.hint ?? "" });
  } catch {
    return new Error(say("upload.refused"));
  }
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
