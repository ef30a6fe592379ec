// Code that comes with a model of the Hub: where a model is refused for it, the dialog shows which files would run and
// offers to approve that very commit. And forms that Ctrl + Enter sends.

const REFUSED = /^(\S+\/\S+) at ([0-9a-f]{40}) needs code that came with it to be run: (.+)$/;

function offer(form, message) {
  const found = message.match(REFUSED);
  const approval = document.getElementById("tb-approve-form");
  if (!found || !approval) return;
  const [, name, commit, files] = found;
  approval.querySelector("[data-code]").textContent = files;
  for (const [field, value] of Object.entries({
    huggingface_name: name, revision: commit, name: form.elements.name.value, description: form.elements.description.value,
  })) approval.elements[field].value = value;
  approval.hidden = false;
  approval.elements.reason.focus();
}

new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) {
      const form = node.nodeType === Node.ELEMENT_NODE && node.matches(".tb-field-error") && node.closest("#tb-add-model-form");
      if (form) offer(form, node.dataset.message);
    }
  }
}).observe(document, { childList: true, subtree: true });

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.target.closest("form[data-submit-keys]")?.requestSubmit();
});
